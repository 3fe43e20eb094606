package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

// passes tells an error that may be over sooner or later.
func passes(err error) bool {
	switch grpcstatus.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal:
		return true
	case codes.Aborted, codes.ResourceExhausted:
		return hasReason(err, irtv1.ErrorReason_ERROR_REASON_IMPORT_RUNNING) || hasReason(err, irtv1.ErrorReason_ERROR_REASON_OVERLOADED)
	}
	return false
}

// leaves tells an error after which an import can still be gone on with: of the way to
// the hub, of the hub, of the caller's token or of reading the file, and none of the
// file or of who sends it.
func leaves(ctx context.Context, err error) bool {
	switch grpcstatus.Code(err) {
	case codes.Unauthenticated, codes.Canceled, codes.Unknown:
		return true
	}
	return passes(err) || ctx.Err() != nil
}

// brokenOff says why an import ended and, where it can go on, how.
func (f *importFlags) brokenOff(ctx context.Context, name string, err error) error {
	told := failure("importing "+f.File, err)
	if name == "" || !leaves(ctx, err) {
		return told
	}
	if grpcstatus.Code(err) == codes.Unauthenticated {
		told = fmt.Errorf("%w\nGet a new token first", told)
	}
	return fmt.Errorf("%w\nThe import %s can be gone on with:\n  %s", told, name, resumption(os.Args[1:], name))
}

// resumption is the command line with such arguments, going on with an import.
func resumption(args []string, name string) string {
	all := []string{"irthub"}
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--resume":
			i++ // its value, too
		case !strings.HasPrefix(args[i], "--resume="):
			all = append(all, quoted(args[i]))
		}
	}
	end := len(all)
	if dashes := slices.Index(all, "--"); dashes >= 0 { // after it nothing is a flag
		end = dashes
	}
	return strings.Join(slices.Insert(all, end, "--resume", name), " ")
}

// quoted is an argument as a shell takes it.
func quoted(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=@%+,", r)
	}
	if arg != "" && strings.TrimLeftFunc(arg, plain) == "" {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
