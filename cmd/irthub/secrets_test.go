package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
)

// A running hub shows neither the database's password nor a caller's token to who
// lists processes or reads its log, at its most talkative; and a hub that cannot reach
// its database does not print its password either.
func TestSecretsStayOutOfArgumentsAndLog(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{
		{Name: "agencies/school-1", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
	}); err != nil {
		t.Fatal(err)
	}
	const password = "s3cret-of-the-database"
	data := pgtest.DataDir(t)
	hub := serve(t, []string{databaseURLVariable + "=" + withPassword(t, pool.Config().ConnString(), password)}, "--data", data, "--log-level", "debug")
	key, err := identity.LoadOrCreateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Issue(identity.Claims{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
	if err != nil {
		t.Fatal(err)
	}
	for _, bearer := range []string{token, token + "x"} { // accepted, and refused
		hub.call(t, "GET", "/v1/agencies/school-1", bearer, "")
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", hub.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	hub.end(t, syscall.SIGTERM)
	_, complaint, status := output(t, []string{databaseURLVariable + "=postgres://hub:" + password + "@127.0.0.1:1/hub?connect_timeout=1"}, "migrate")
	if status == 0 {
		t.Fatal("a database that is not there was migrated")
	}
	for what, text := range map[string]string{"arguments": string(arguments), "log": hub.log.String(), "complaint": complaint} {
		if text == "" {
			t.Errorf("no %s at all", what)
		}
		for secret, value := range map[string]string{"password": password, "token": token, "signature": token[strings.LastIndexByte(token, '.')+1:]} {
			if strings.Contains(text, value) {
				t.Errorf("the %s is in the %s", secret, what)
			}
		}
	}
}

// withPassword adds a password, which a server that trusts its callers ignores.
func withPassword(t *testing.T, address, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String()
}
