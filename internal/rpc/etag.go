package rpc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Etag makes the etag of a version from whatever identifies it, such as an id and
// a revision: 16 characters in quotes, as HTTP writes them.
func Etag(parts ...any) string {
	var room [128]byte
	b := room[:0]
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case int32:
			b = strconv.AppendInt(b, int64(p), 10)
		default:
			b = fmt.Append(b, p)
		}
		b = append(b, 0)
	}
	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// IfMatch returns the If-Match condition that came with the call, or "".
func IfMatch(ctx context.Context) string {
	return strings.Join(metadata.ValueFromIncomingContext(ctx, "if-match"), ", ")
}

type importKey struct{}

// NewImport marks the context in which the rows of a file are submitted. The file may
// come from another hub, so an etag counts only where this one has the thing.
func NewImport(ctx context.Context) context.Context { return context.WithValue(ctx, importKey{}, true) }

// IsImport tells whether what is submitted comes from a file.
func IsImport(ctx context.Context) bool { return ctx.Value(importKey{}) != nil }

// CheckEtag compares the etag that a request gives, and the If-Match that came
// with the call, with the present one; an empty one fits anything. It returns
// Aborted where one does not fit.
func CheckEtag(ctx context.Context, given, present string) error {
	if given != "" && given != present && (present != "" || !IsImport(ctx)) {
		return Aborted(present)
	}
	if condition := IfMatch(ctx); condition != "" && !fits(condition, present) {
		return Aborted(present)
	}
	return nil
}

// fits evaluates an If-Match list (RFC 9110 section 13.1.1). Our etags hold no
// comma. Weak ones never match, and nothing does where there is no version.
func fits(condition, present string) bool {
	for one := range strings.SplitSeq(condition, ",") {
		if one = strings.TrimSpace(one); present != "" && (one == "*" || one == present) {
			return true
		}
	}
	return false
}
