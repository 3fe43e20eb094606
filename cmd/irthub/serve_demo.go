package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/demo"
	"irthub/internal/identity"
	"irthub/internal/server"
)

// loadDemo fills a hub that is about to serve with the demonstration, through its
// own interceptors and services, as irthub demo does from outside.
func (c *serveCommand) loadDemo(ctx context.Context, hub *server.Hub, s streams) error {
	if !hub.Database.Private() || len(c.OIDCIssuer) > 0 {
		return usage(errors.New("--demo: the demonstration is for a hub with a private database and its own tokens"))
	}
	if err := noRealChildren(ctx, hub); err != nil {
		return err
	}
	authority := &irtv1.Agency{
		Name: agencies.Name(demo.Authority), DisplayName: demo.Authority,
		Kind: irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY,
	}
	if _, _, _, err := agencies.UpsertAgencies(ctx, hub.Database.Pool, []*irtv1.Agency{authority}); err != nil {
		return err
	}
	if err := hub.Directory.Refresh(ctx); err != nil {
		return err
	}
	key, err := identity.LoadOrCreateKey(c.Data)
	if err != nil {
		return err
	}
	token, err := key.Issue(identity.Claims{Agency: demo.Authority, Role: irtv1.Role_ROLE_DATA_MANAGER})
	if err != nil {
		return err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "irt-purpose", "DATA_QUALITY")
	o := demo.Options{As: asAgency(key)}
	progress, end := countProgress(s.err, "loading")
	o.Progress = progress
	began := time.Now()
	loaded, err := demo.Load(ctx, hub.Conn(), o)
	end()
	if err != nil {
		return failure("loading the demonstration", err)
	}
	printDemo(s.err, loaded, time.Since(began))
	return nil
}

// noRealChildren keeps invented children out of an index that has others.
func noRealChildren(ctx context.Context, hub *server.Hub) error {
	if _, demonstrated := hub.Directory.Get(demo.SocialCare); demonstrated {
		return nil
	}
	var filled bool
	if err := hub.Database.Pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM children)`).Scan(&filled); err != nil {
		return fmt.Errorf("looking for children: %w", err)
	}
	if filled {
		return errors.New("--demo: this hub holds children already; the demonstration needs a --data of its own")
	}
	return nil
}

// printCommands prints commands that work as they are pasted. They are all that
// is indented.
func printCommands(w io.Writer, data string, a server.Addresses) {
	irthub, err := os.Executable()
	if err != nil {
		irthub = os.Args[0]
	}
	grpcurl := strings.TrimSuffix(irthub, "irthub") + "grpcurl"
	if _, err := os.Stat(grpcurl); err != nil {
		grpcurl = "grpcurl"
	}
	const call = `-H "Authorization: Bearer $TOKEN" -H 'Irt-Purpose: SAFEGUARDING' -H 'Content-Type: application/json'`
	fmt.Fprintf(w, `
Try these in another terminal; the token is good for an hour. A practice looks for a girl called Millie Clark, finds out who works with her, and sends a record that is refused nothing but told everything:

    TOKEN=$(%[1]s token --data %[2]s --agency %[3]s --role agency-system)
    curl -sS -X POST http://%[4]s/v1/children:search %[6]s -d '{"givenName": "Millie", "familyName": "Clark", "dateOfBirth": "%[7]s"}'
    CHILD=$(curl -sS -X POST http://%[4]s/v1/children:lookup %[6]s -d '{"nhsNumber": "%[8]s"}' | sed 's/.*"name": *"\(children[^"]*\)".*/\1/')
    curl -sS http://%[4]s/v1/$CHILD/involvements %[6]s
    curl -sS -X POST http://%[4]s/v1/standard:validate %[6]s -d '{"childRecord": {"familyName": "Clark", "nhsNumber": "9991000004", "postcode": "nowhere", "dateOfBirth": "2031-02-30"}}'
    %[9]s -plaintext -H "authorization: Bearer $TOKEN" -H 'irt-purpose: SAFEGUARDING' -d "{\"name\": \"$CHILD\"}" %[5]s irt.v1.ChildService/GetChild
    %[9]s -plaintext %[5]s list

The whole REST API: http://%[4]s/docs
`, irthub, data, demo.AmeliaPractice, a.HTTP, a.GRPC, call, demo.AmeliaDateOfBirth, demo.AmeliaNHSNumber, grpcurl)
}
