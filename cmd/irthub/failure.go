package main

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

// failure says what could not be done and why, in the hub's own words where they
// came from a hub, with every rule that is broken.
func failure(doing string, err error) error {
	st, fromHub := grpcstatus.FromError(err)
	if !fromHub {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", doing, st.Message())
	for _, d := range st.Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if !ok || len(bad.GetFieldViolations()) < 2 { // one stands in the message
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			fmt.Fprintf(&b, "\n  %s: %s (%s)", v.GetField(), v.GetDescription(), v.GetReason())
		}
	}
	switch st.Code() {
	case codes.Canceled:
		b.WriteString("\nWhat went in by then stays; run the command again for the rest.")
	case codes.Unavailable:
		b.WriteString("\nCheck that the hub runs and that --addr is its gRPC address, and run the command again.")
	case codes.Unauthenticated:
		b.WriteString("\nSet IRTHUB_TOKEN or give --token-file; irthub token prints a token.")
	}
	return errors.New(b.String())
}

// hasReason tells whether the hub gave a reason for an error.
func hasReason(err error, reason irtv1.ErrorReason) bool {
	for _, d := range grpcstatus.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && "ERROR_REASON_"+info.GetReason() == reason.String() {
			return true
		}
	}
	return false
}
