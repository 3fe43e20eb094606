package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/server"
)

// Two hubs on one database: who is shut out through one is refused by the other
// within five seconds, though it has just let the caller in and remembers the token;
// and a stream that is open there takes nothing more.
func TestARevocationHoldsInEveryProcess(t *testing.T) {
	t.Parallel()
	one := start(t)
	at, _ := run(t, server.Config{
		Data: one.data, DatabaseURL: one.pool.Config().ConnString(), GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Version: "test",
	})
	conn, err := grpc.NewClient(at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	two := &hub{Addresses: at, data: one.data, pool: one.pool, key: one.key, conn: conn}
	operator := one.token(t, "gp-1", irtv1.Role_ROLE_HUB_OPERATOR)
	as := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "irt-purpose", "EDUCATION")
	}
	if status, body := one.rest(t, http.MethodPatch, "/v1/agencies/school-1/practitioners/p-1?allowMissing=true", `{"displayName":"P"}`, operator, nil); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	person, err := one.key.Issue(identity.Claims{Agency: "school-1", Practitioner: "p-1", Role: irtv1.Role_ROLE_PRACTITIONER})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, token, want string
		shut              func() (int, []byte)
	}{
		{"a token", one.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), "TOKEN_REVOKED", nil},
		{"a practitioner", person, "ACCESS_DENIED", func() (int, []byte) {
			return one.rest(t, http.MethodPatch, "/v1/agencies/school-1/practitioners/p-1", `{"state":"AGENCY_STATE_INACTIVE"}`, operator, nil)
		}},
		{"an agency", one.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), "ACCESS_DENIED", func() (int, []byte) {
			return one.rest(t, http.MethodPatch, "/v1/agencies/school-1", `{"state":"AGENCY_STATE_INACTIVE"}`, operator, nil)
		}},
	} { // the agency last, since the practitioner is of it
		t.Run(c.name, func(t *testing.T) {
			two.wantBoth(t, "before", c.token, "")
			stream, err := irtv1.NewChildServiceClient(two.conn).SubmitChildRecords(as(c.token))
			if err != nil {
				t.Fatal(err)
			}
			record := &irtv1.SubmitChildRecordsRequest{RequestId: "1", ChildRecord: &irtv1.ChildRecord{}}
			exchange := func() error {
				if err := stream.Send(record); err != nil {
					_, err = stream.Recv()
					return err
				}
				_, err := stream.Recv()
				return err
			}
			if err := exchange(); err != nil {
				t.Fatal(err)
			}
			shut := c.shut
			if shut == nil {
				issuer, id, err := identity.TokenName(c.token)
				if err != nil {
					t.Fatal(err)
				}
				shut = func() (int, []byte) {
					return one.rest(t, http.MethodPost, "/v1/revocations", `{"issuer":"`+issuer+`","tokenId":"`+id+`","reason":"lost"}`, operator, nil)
				}
			}
			if status, body := shut(); status != 200 {
				t.Fatalf("shutting out: %d %s", status, body)
			}
			one.wantBoth(t, "the same hub, at once", c.token, c.want)
			until(t, 5*time.Second, func() string {
				grpc, rest := two.reason(t, c.token)
				if grpc == c.want && rest == c.want {
					return ""
				}
				return "five seconds later the other hub answers " + grpc + " and " + rest
			})
			if f := fromGRPC(exchange()); f.Reason != c.want {
				t.Errorf("the open stream answers %+v", f)
			}
		})
	}
	if status, body := two.rest(t, http.MethodGet, "/v1/revocations", "", operator, nil); status != 200 || !strings.Contains(string(body), `"reason":"lost"`) {
		t.Errorf("the list of revocations: %d %s", status, body)
	}
	var entries, told int
	if err := one.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM audit_entries WHERE method LIKE '%RevokeToken' AND decision = 'ALLOWED'),
		(SELECT count(*) FROM event_outbox WHERE kind = 41 AND audience = 2) +
		(SELECT count(*) FROM events WHERE kind = 41 AND audience = 2)`).Scan(&entries, &told); err != nil || entries != 1 || told != 1 {
		t.Errorf("%d entries of the access log and %d events tell of one revocation: %v", entries, told, err)
	}
}

// A revocation is forgotten when what it revokes has expired, and not before.
func TestARevocationsTime(t *testing.T) {
	t.Parallel()
	h := start(t)
	operator := h.token(t, "gp-1", irtv1.Role_ROLE_HUB_OPERATOR)
	revoke := func(body string) (int, string) {
		status, answer := h.rest(t, http.MethodPost, "/v1/revocations", body, operator, nil)
		return status, string(answer)
	}
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"for as long as a token can live":    {`{"issuer":"irthub","tokenId":"a"}`, 200},
		"in an hour":                         {`{"issuer":"irthub","tokenId":"b","expireTime":"` + in(time.Hour) + `"}`, 200},
		"over already":                       {`{"issuer":"irthub","tokenId":"c","expireTime":"` + in(-time.Hour) + `"}`, 400},
		"longer than a token can live":       {`{"issuer":"irthub","tokenId":"d","expireTime":"` + in(48*time.Hour) + `"}`, 400},
		"a certificate that lives for years": {`{"issuer":"certificate","tokenId":"e","expireTime":"` + in(5*365*24*time.Hour) + `"}`, 200},
		"of nothing":                         {`{"issuer":"irthub"}`, 400},
	} {
		if status, body := revoke(c.body); status != c.want {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// Again, and for a shorter time: it holds as long as it did.
	if _, body := revoke(`{"issuer":"irthub","tokenId":"a","expireTime":"` + in(time.Hour) + `"}`); strings.Contains(body, in(time.Hour)[:13]) {
		t.Errorf("a revocation was shortened: %s", body)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE revocations SET expire_time = now() - interval '1 second' WHERE token_id = 'b'`); err != nil {
		t.Fatal(err)
	}
	revoke(`{"issuer":"irthub","tokenId":"f"}`)
	var left int
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM revocations`).Scan(&left); err != nil || left != 3 {
		t.Errorf("%d revocations are kept, want a, e and f: %v", left, err)
	}
	system := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	if status, body := h.rest(t, http.MethodPost, "/v1/revocations", `{"issuer":"irthub","tokenId":"x"}`, system, nil); status != 403 {
		t.Errorf("an agency's system revokes: %d %s", status, body)
	}
	first, rest := "", 0
	for page, token := 0, ""; ; page++ {
		status, body := h.rest(t, http.MethodGet, "/v1/revocations?pageSize=2&pageToken="+token, "", operator, nil)
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		var answer struct {
			Revocations   []struct{ TokenID string }
			NextPageToken string
		}
		decode(t, body, &answer)
		if page == 0 {
			first = answer.Revocations[0].TokenID
		}
		rest += len(answer.Revocations)
		if token = answer.NextPageToken; token == "" {
			break
		}
	}
	if first != "f" || rest != 3 {
		t.Errorf("the list begins with %q and has %d", first, rest)
	}
}

func decode(t *testing.T, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
}
