package gateway

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// errNotModified says that the caller has the resource as it is.
var errNotModified = errors.New("not modified")

// etagPattern is an entity tag of RFC 9110 that may stand in a header.
var etagPattern = regexp.MustCompile(`^"[\x21\x23-\x7e]{0,126}"$`)

// forwardEtag writes the answer's etag as the ETag header, and ends a GET whose
// If-None-Match names it.
func forwardEtag(ctx context.Context, w http.ResponseWriter, answer proto.Message) error {
	etag := etagOf(answer.ProtoReflect(), 1)
	if !etagPattern.MatchString(etag) {
		return nil
	}
	w.Header().Set("Etag", etag)
	r := requestOf(ctx)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reads && noneMatch(r.Header.Values("If-None-Match"), etag) {
		return errNotModified
	}
	return nil
}

// etagOf is the answer's own etag, or that of the one resource it wraps, to the
// given depth: SubmitChildRecordResponse has that of its child_record.
func etagOf(m protoreflect.Message, depth int) string {
	fields := m.Descriptor().Fields()
	if f := fields.ByName("etag"); f != nil && f.Kind() == protoreflect.StringKind && !f.IsList() {
		return m.Get(f).String()
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if depth == 0 || f.Message() == nil || f.IsList() || f.IsMap() || !m.Has(f) {
			continue
		}
		if etag := etagOf(m.Get(f).Message(), depth-1); etag != "" {
			return etag
		}
	}
	return ""
}

// noneMatch says whether an If-None-Match header names the etag, weakly compared.
func noneMatch(headers []string, etag string) bool {
	for _, header := range headers {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}
