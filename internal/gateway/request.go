package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

const (
	// maxBody bounds a JSON body, in bytes: it may be a few times as long as the
	// same message over gRPC (rpc.MaxRequest).
	maxBody = 4 << 20
	// maxDrain is how much of a body that is too large is read and thrown away,
	// so that a client that sends before it listens gets to see the answer.
	maxDrain = 32 << 20
	// bodyTimeout is how long a client may take to send a JSON body.
	bodyTimeout = 30 * time.Second
	// answerTimeout is how long it may take to answer and to be listened to; calls
	// themselves are bounded by rpc.Limits, well below it.
	answerTimeout = 2 * time.Minute
)

// serveAPI answers a request under /v1.
func (g *Gateway) serveAPI(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	r = prepare(r)
	if err := checkHeaders(r.Header); err != nil {
		g.writeError(w, r, err)
		return
	}
	if err := checkURL(r.URL); err != nil {
		g.writeError(w, r, err)
		return
	}
	if isStream(r) {
		g.api.ServeHTTP(w, r)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every ResponseWriter can
	_ = rc.SetWriteDeadline(time.Now().Add(bodyTimeout + answerTimeout))
	if err := readBody(r); err != nil {
		g.writeError(w, r, err)
		return
	}
	_ = rc.SetReadDeadline(time.Time{})
	g.api.ServeHTTP(w, r)
}

// prepare returns the request as the API is to see it: HEAD as the GET it is but
// for the body, with the caller's address where only the gateway can put it, and
// without headers that the gateway library would obey.
func prepare(r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), requestKey{}, r)
	out := r.Clone(withRemote(ctx, remoteAddr(r.RemoteAddr), r.TLS))
	if out.Method == http.MethodHead {
		out.Method = http.MethodGet
	}
	for name := range out.Header {
		if strings.HasPrefix(name, "Grpc-") || strings.HasPrefix(name, "X-Forwarded-") || name == "Te" {
			out.Header.Del(name)
		}
	}
	return out
}

// requestKey is the context key of the HTTP request as it came.
type requestKey struct{}

// requestOf is the HTTP request a call comes from.
func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// remoteAddr is the address of the socket's other end. Forwarding headers are
// not believed: anyone can write them.
func remoteAddr(hostPort string) net.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(ap)
}

// matchIncoming lets the headers of the API through to metadata, and no other.
func matchIncoming(name string) (string, bool) {
	name = strings.ToLower(name)
	// The library passes authorization on by itself, and twice if told to.
	return name, name != "authorization" && slices.Contains(forwarded, name)
}

// answered are the metadata keys of answers that a REST caller gets as headers:
// the id of the call, and the name of an import even when it fails.
var answered = []string{rpc.RequestIDKey, "irt-import"}

// matchOutgoing lets those out, and no other metadata.
func matchOutgoing(name string) (string, bool) {
	return textproto.CanonicalMIMEHeaderKey(name), slices.Contains(answered, name)
}

// matchNone keeps trailers out of HTTP.
func matchNone(string) (string, bool) { return "", false }

// checkHeaders refuses what metadata could not carry, or would carry twice with
// different meanings, rather than let a header quietly go missing.
func checkHeaders(h http.Header) error {
	for _, key := range forwarded {
		name := textproto.CanonicalMIMEHeaderKey(key)
		values := h.Values(name)
		if len(values) > 1 {
			return rpc.Malformed("the header " + name + " is given more than once")
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
				return rpc.Malformed("the header " + name + " may hold letters, digits and signs of ASCII only")
			}
		}
	}
	return nil
}

// checkURL refuses what the library would take for something else: an encoded
// slash, which no id holds, would come out as a real one.
func checkURL(u *url.URL) error {
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return rpc.Malformed("its address has an encoded slash, and no id holds a slash")
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return rpc.Malformed("the part of the address after ? is not well formed")
	}
	return nil
}

// submissions are the addresses of streams of records.
var submissions = []string{
	"/v1/childRecords:submit", "/v1/involvements:submit", "/v1/concerns:submit", "/v1/referrals:submit", "/v1/plans:submit",
	"/v1/consents:submit", "/v1/services:submit",
}

// isStream says whether the request is for a handler that reads its body, or writes
// its answer, as it comes.
func isStream(r *http.Request) bool {
	if r.Method == http.MethodGet {
		return strings.HasSuffix(r.URL.Path, ":export") || strings.HasSuffix(r.URL.Path, ":download")
	}
	return r.Method == http.MethodPost && (slices.Contains(submissions, r.URL.Path) ||
		reference.Route{Pattern: reference.UploadPattern}.Matches(r.URL.Path))
}

// readBody checks that the body is JSON by name and not too large, and reads it.
func readBody(r *http.Request) error {
	if r.Method == http.MethodGet || r.ContentLength == 0 {
		r.Body = http.NoBody
		return nil
	}
	if r.ContentLength > maxBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		return rpc.TooLarge(int(r.ContentLength), maxBody)
	}
	buf := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return errBody(err)
	case n > maxBody:
		more, _ := io.CopyN(io.Discard, r.Body, maxDrain)
		return rpc.TooLarge(int(n+more), maxBody)
	case n > 0 && !isJSON(r.Header):
		return errMediaType("its body is not said to be JSON: send it with the header Content-Type: application/json and without Content-Encoding")
	}
	r.Body = io.NopCloser(buf)
	return nil
}

// errBody says why a body could not be read to its end.
func errBody(err error) error {
	if net, ok := errors.AsType[net.Error](err); ok && net.Timeout() {
		return errSlowBody()
	}
	return rpc.Malformed("the body broke off before its end")
}

// isJSON accepts application/json, with charset utf-8 or none, and a body whose
// type is not named.
func isJSON(h http.Header) bool {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return false
	}
	named := h.Get("Content-Type")
	if named == "" {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(named)
	charset := params["charset"]
	return err == nil && mediaType == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}
