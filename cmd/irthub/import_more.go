package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

type importTemplateCommand struct {
	clientFlags

	Form string `arg:"" enum:"child-records,involvements,concerns,referrals,plans,consents,services,school-cohort" help:"child-records, involvements, concerns, referrals, plans, consents, services or school-cohort."`
}

// Run prints the template.
func (c *importTemplateCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dialAnonymous()
	if err != nil {
		return err
	}
	defer conn.Close()
	t, err := irtv1.NewImportServiceClient(conn).GetImportTemplate(ctx, &irtv1.GetImportTemplateRequest{Name: "importTemplates/" + c.Form})
	if err != nil {
		return failure("getting the template", err)
	}
	_, err = io.WriteString(s.out, t.GetContent())
	return err
}

type importListCommand struct {
	clientFlags

	Agency string `placeholder:"ID" default:"-" help:"The agency whose imports they are (default: the token's own)."`
	Most   int32  `default:"20" help:"At most this many."`
}

// Run lists imports.
func (c *importListCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dial("")
	if err != nil {
		return err
	}
	defer conn.Close()
	list, err := irtv1.NewImportServiceClient(conn).ListImports(ctx, &irtv1.ListImportsRequest{Parent: "agencies/" + c.Agency, PageSize: c.Most})
	if err != nil {
		return failure("listing imports", err)
	}
	out := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "begun\tstate\tform\trows\trejected\trows/s\tname")
	for _, i := range list.GetImports() {
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%.0f\t%s\n", i.GetCreateTime().AsTime().Local().Format(time.DateTime),
			word(i.GetState().String(), "IMPORT_STATE_"), word(i.GetFormat().String(), "IMPORT_FORMAT_"),
			i.GetRows(), i.GetRejected(), i.GetRowsPerSecond(), i.GetName())
	}
	return out.Flush()
}

// word is a value of the schema as people write it: school-cohort.
func word(value, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value, prefix)), "_", "-")
}

type importCancelCommand struct {
	clientFlags

	Name string `arg:"" help:"The import: agencies/…/imports/…."`
}

// Run cancels an import.
func (c *importCancelCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dial("")
	if err != nil {
		return err
	}
	defer conn.Close()
	i, err := irtv1.NewImportServiceClient(conn).CancelImport(ctx, &irtv1.CancelImportRequest{Name: c.Name})
	if err != nil {
		return failure("cancelling the import", err)
	}
	state := word(i.GetState().String(), "IMPORT_STATE_")
	if i.GetState() == irtv1.ImportState_IMPORT_STATE_RUNNING {
		state = "being cancelled"
	}
	s.say("%s: %s, %d rows settled", i.GetName(), state, i.GetRows())
	return nil
}

type importRejectsCommand struct {
	clientFlags

	Name string `arg:"" help:"The import: agencies/…/imports/…."`
}

// Help is shown by irthub import rejects --help.
func (importRejectsCommand) Help() string {
	return `Prints a line for each fault: row, column, rule, what is wrong and what to do, and the row as it was sent, to be corrected and sent again as it is. The hub keeps the rows for 7 days, and shows them to the agency alone that sent them.

Example:

  irthub import rejects agencies/school-1/imports/0199… > rejects.csv`
}

// Run prints the rejects.
func (c *importRejectsCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dial("DATA_QUALITY")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := downloadRejects(ctx, irtv1.NewImportServiceClient(conn), c.Name, s.out); err != nil {
		return failure("getting the rows that were refused", err)
	}
	return nil
}

// downloadRejects writes the rejects of an import as the hub gives them, with the
// rows as they were sent.
func downloadRejects(ctx context.Context, client irtv1.ImportServiceClient, name string, out io.Writer) error {
	stream, err := client.DownloadImportRejects(ctx, &irtv1.DownloadImportRejectsRequest{Parent: name})
	if err != nil {
		return err
	}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(part.GetChunk()); err != nil {
			return err
		}
	}
}
