package rpc_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

const listMethod = "/irt.v1.ChildService/ListChildRecords"

func pageTokens(t testing.TB, key byte) *rpc.PageTokens {
	t.Helper()
	p, err := rpc.NewPageTokens(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPageTokens(t *testing.T) {
	t.Parallel()
	tokens := pageTokens(t, 1)
	cursor := []byte("agencies/a/childRecords/" + secret)
	request := &irtv1.ListChildRecordsRequest{Parent: "agencies/a", PageSize: 10}
	token, err := tokens.Encode(listMethod, request, cursor)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || bytes.Contains(raw, []byte("O'Neill")) {
		t.Errorf("the token shows its cursor, or is not base64url: %v", err)
	}
	next := proto.Clone(request).(*irtv1.ListChildRecordsRequest)
	next.PageToken, next.PageSize = token, 500
	got, err := tokens.Decode(listMethod, next, token)
	if err != nil || !bytes.Equal(got, cursor) {
		t.Errorf("the next page: %q, %v", got, err)
	}
	if got, err := tokens.Decode(listMethod, request, ""); got != nil || err != nil {
		t.Errorf("the first page: %q, %v", got, err)
	}
}

func TestPageTokensOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	tokens := pageTokens(t, 1)
	request := &irtv1.ListChildRecordsRequest{Parent: "agencies/a"}
	token, err := tokens.Encode(listMethod, request, []byte("cursor"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, p *rpc.PageTokens, method string, req proto.Message, token string) {
		t.Helper()
		_, err := p.Decode(method, req, token)
		if err == nil {
			t.Errorf("%s: accepted", what)
			return
		}
		wantError(t, err, codes.InvalidArgument, "PAGE_TOKEN_INVALID")
	}
	refused("another parent", tokens, listMethod, &irtv1.ListChildRecordsRequest{Parent: "agencies/b"}, token)
	refused("another method", tokens, "/irt.v1.ChildService/ListChildVersions", request, token)
	refused("another hub", pageTokens(t, 2), listMethod, request, token)
	refused("not base64", tokens, listMethod, request, "*")
	refused("short", tokens, listMethod, request, "AA")
	for i := range token {
		damaged := []byte(token)
		damaged[i] = 'A' + (damaged[i]-'A'+1)%26
		refused("a damaged character", tokens, listMethod, request, string(damaged))
	}
	if _, err := tokens.Encode(listMethod, request, make([]byte, 321)); err == nil {
		t.Error("a cursor too long for the schema's bound was sealed")
	}
	if token, err := tokens.Encode(listMethod, request, make([]byte, 320)); err != nil || len(token) > 500 {
		t.Errorf("the longest cursor makes a token of %d characters, %v", len(token), err)
	}
}

// Two processes of a hub open each other's tokens.
func TestPageTokenKeyIsShared(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	one, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rpc.LoadPageTokens(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	request := &irtv1.ListChildRecordsRequest{Parent: "agencies/a"}
	token, err := one.Encode(listMethod, request, []byte("cursor"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := other.Decode(listMethod, request, token); err != nil || string(got) != "cursor" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzPageToken(f *testing.F) {
	tokens := pageTokens(f, 1)
	request := &irtv1.ListChildRecordsRequest{Parent: "agencies/a"}
	good, err := tokens.Encode(listMethod, request, []byte("cursor"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		cursor, err := tokens.Decode(listMethod, request, token)
		if err == nil && token != "" && string(cursor) != "cursor" {
			t.Errorf("%q opened as %q", token, cursor)
		}
	})
}

func TestPageSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ asked, want int32 }{{0, 50}, {-1, 50}, {1, 1}, {1000, 1000}, {1001, 1000}} {
		if got := rpc.PageSize(c.asked, 50, 1000); got != c.want {
			t.Errorf("asked for %d: %d, want %d", c.asked, got, c.want)
		}
	}
}

func TestEtag(t *testing.T) {
	t.Parallel()
	one := rpc.Etag("a", int32(1))
	if one != rpc.Etag("a", int32(1)) {
		t.Error("the same version has two etags")
	}
	for _, other := range []string{rpc.Etag("a", int32(2)), rpc.Etag("b", int32(1)), rpc.Etag("a1"), rpc.Etag("a", "1", "")} {
		if other == one {
			t.Error("two versions have one etag")
		}
	}
	if len(one) < 10 || !strings.HasPrefix(one, `"`) || !strings.HasSuffix(one, `"`) {
		t.Errorf("%s is not a quoted etag", one)
	}
}

func TestCheckEtag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ifMatch []string
		given   string
		fits    bool
	}{
		{nil, "", true},
		{nil, `"new"`, true},
		{nil, `"old"`, false},
		{[]string{`"new"`}, "", true},
		{[]string{`"old"`, `"new"`}, "", true},
		{[]string{`"old", "new"`}, "", true},
		{[]string{"*"}, "", true},
		{[]string{`"old"`}, "", false},
		{[]string{`W/"new"`}, "", false},
		{[]string{`"new"`}, `"old"`, false},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"if-match": c.ifMatch})
		err := rpc.CheckEtag(ctx, c.given, `"new"`)
		if (err == nil) != c.fits {
			t.Errorf("If-Match %q, etag %q: %v, want fits %v", c.ifMatch, c.given, err, c.fits)
		}
		if err != nil {
			wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
		}
	}
}
