package identity_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// revoke shuts out what a text names: see directory.
func (d *directory) revoke(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inactive[text] = true
}

// A token that was verified, and is remembered, is refused as soon as it is revoked.
func TestARevokedTokenIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	lost := sign(t, jose.ES256, b.private, good(map[string]any{"jti": "lost"}))
	other := sign(t, jose.ES256, b.private, good(map[string]any{"jti": "other"}))
	if err := b.getChild(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	b.directory.revoke("irthub lost")
	wantError(t, b.getChild(t.Context(), lost), codes.Unauthenticated, "TOKEN_REVOKED")
	if err := b.getChild(t.Context(), other); err != nil {
		t.Errorf("another token: %v", err)
	}
}

// A token without an id is revoked by what was signed: it cannot be dressed up anew.
func TestATokenWithoutAnIDIsRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raw := sign(t, jose.ES256, b.private, good(map[string]any{"jti": nil}))
	issuer, id, err := identity.TokenName(raw + "\n")
	if err != nil {
		t.Fatal(err)
	}
	b.directory.revoke(issuer + " " + id)
	for range 3 { // each time with another signature, as ECDSA has it
		raw = sign(t, jose.ES256, b.private, good(map[string]any{"jti": nil, "iat": claimOf(t, raw, "iat"), "exp": claimOf(t, raw, "exp")}))
		wantError(t, b.getChild(t.Context(), raw), codes.Unauthenticated, "TOKEN_REVOKED")
	}
	if _, _, err := identity.TokenName("not a token"); err == nil {
		t.Error("what is no token has a name")
	}
}

func TestAPractitionerWhoHasLeftIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.directory.revoke("st-marys/gone")
	wantError(t, b.getChild(t.Context(), b.token(t, "st-marys", "gone", person)), codes.PermissionDenied, "ACCESS_DENIED")
	acting := []string{purpose, "AUDIT", onBehalfOf, "agencies/st-marys/practitioners/gone"}
	wantError(t, b.getChild(t.Context(), b.token(t, "st-marys", "", system), acting...), codes.PermissionDenied, "ACCESS_DENIED")
	wantError(t, b.getChild(t.Context(), b.token(t, "hub", "", mediator), acting...), codes.PermissionDenied, "ACCESS_DENIED")
	if err := b.getChild(t.Context(), b.token(t, "st-marys", "here", person)); err != nil {
		t.Errorf("a colleague: %v", err)
	}
}

// A stream that stands still ends when its token is revoked, and so do those of an
// agency that is shut out.
func TestAStreamEndsWhenItsCallerIsShutOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shut string
		code codes.Code
	}{
		"the token is revoked":      {"irthub stream", codes.Unauthenticated},
		"the agency is not active":  {"st-marys", codes.PermissionDenied},
		"the practitioner has left": {"st-marys/p", codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			raw := sign(t, jose.ES256, b.private, good(map[string]any{"jti": "stream", "irt_role": "practitioner", "irt_practitioner": "p"}))
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+raw)
			stream, err := b.children.SubmitChildRecords(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&irtv1.SubmitChildRecordsRequest{RequestId: "then wait"}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			b.directory.revoke(c.shut)
			ended := make(chan error, 1)
			go func() {
				_, err := stream.Recv()
				ended <- err
			}()
			select {
			case err = <-ended:
			case <-time.After(5 * time.Second):
				t.Fatal("five seconds later the stream goes on")
			}
			if err == nil || errors.Is(err, io.EOF) {
				t.Fatalf("the stream ended with %v", err)
			}
			wantCode(t, err, c.code)
		})
	}
}

// Calls of nobody known are told to whoever counts them, and no others are.
func TestRejectedCallsAreHeardOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_ = b.getChild(t.Context(), "forged")
	_ = b.getChild(t.Context(), "")
	_ = b.getChild(t.Context(), b.token(t, "st-marys", "", auditor)) // known, and denied
	b.directory.mu.Lock()
	defer b.directory.mu.Unlock()
	if b.directory.rejected != 2 {
		t.Errorf("%d calls were rejected, want 2", b.directory.rejected)
	}
}
