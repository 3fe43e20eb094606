package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/demo"
	"irthub/internal/identity"
)

type demoCommand struct {
	clientFlags

	Children int    `placeholder:"N" default:"2000" help:"How many children (default: 2000); fewer are the first of more."`
	Data     string `placeholder:"DIR" type:"path" help:"Directory of the hub, on its machine: with its key the sensitive services are loaded too, which only they themselves may record."`
}

// Help is shown by irthub demo --help.
func (demoCommand) Help() string {
	return `Loads a believable area into a hub: 60 schools and practices, social care, health, police, youth offending, charities and two sensitive services, 150 practitioners, and children whom they know under names and addresses that do not quite agree, with who is working with whom. It is the same area every time, all of it is invented, and loading it again changes nothing. It needs a token of the role data-manager.

Do not load it into a hub that holds real children.

Example:

  export IRTHUB_TOKEN=$(irthub token --agency broadshire-council --role data-manager)
  irthub demo`
}

// Run loads the area.
func (c *demoCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dial("DATA_QUALITY")
	if err != nil {
		return err
	}
	defer conn.Close()
	o := demo.Options{Children: c.Children}
	if c.Data != "" {
		key, err := identity.LoadOrCreateKey(c.Data)
		if err != nil {
			return err
		}
		o.As = asAgency(key)
	}
	progress, end := countProgress(s.err, "loading")
	o.Progress = progress
	began := time.Now()
	loaded, err := demo.Load(ctx, conn, o)
	end()
	if err != nil {
		return failure("loading the demonstration", err)
	}
	printDemo(s.out, loaded, time.Since(began))
	return nil
}

// asAgency calls as the system of any agency, with tokens of the hub's own key.
func asAgency(key *identity.SigningKey) func(context.Context, string) (context.Context, error) {
	return func(ctx context.Context, agency string) (context.Context, error) {
		token, err := key.Issue(identity.Claims{Agency: agency, Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
		if err != nil {
			return nil, err
		}
		headers, _ := metadata.FromOutgoingContext(ctx)
		headers = headers.Copy()
		headers.Set("authorization", "Bearer "+token)
		return metadata.NewOutgoingContext(ctx, headers), nil
	}
}

func printDemo(w io.Writer, loaded demo.Summary, took time.Duration) {
	fmt.Fprintf(w, "%d children in %d records (%d new), %d agencies, %d practitioners, %d involvements, %d lead professionals; %.1f s\n",
		loaded.Children, loaded.Records, loaded.Created, loaded.Agencies, loaded.Practitioners, loaded.Involvements,
		loaded.LeadProfessionals, took.Seconds())
	if loaded.LeftOut > 0 {
		fmt.Fprintf(w, "%d involvements of sensitive services are left out: only they may record them; --data DIR loads them on the hub's machine\n", loaded.LeftOut)
	}
	fmt.Fprintf(w, "Amelia Clarke, born %s, is %s, %s and %s\n", demo.AmeliaDateOfBirth,
		demo.AmeliaSchoolRecord, demo.AmeliaPracticeRecord, demo.AmeliaSocialCareRecord)
}
