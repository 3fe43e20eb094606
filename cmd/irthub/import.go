package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
)

// uploadChunk is how much of a file travels in one message, in bytes.
const uploadChunk = 256 << 10

type importCommand struct {
	SchoolCohort importCohortCommand    `cmd:"" help:"Import a school's cohort or class list, CSV."`
	GPPractices  importPracticesCommand `cmd:"" name:"gp-practices" help:"Import the NHS register of GP practices, epraccur.csv."`
}

// importFlags are those of every import.
type importFlags struct {
	clientFlags

	File    string `arg:"" placeholder:"FILE" help:"The file; - is standard input."`
	Agency  string `placeholder:"ID" help:"The agency whose file it is (default: the token's own)."`
	DryRun  bool   `help:"Only check: say what would become of each row, and write nothing."`
	Rejects string `placeholder:"FILE" type:"path" help:"Where to write the rows that are refused, and why (default: beside the file, NAME.rejects.csv)."`
	JSON    bool   `name:"json" help:"End with one line of JSON on standard output; the summary goes to standard error."`
}

type importCohortCommand struct{ importFlags }

// Help is shown by irthub import school-cohort --help.
func (importCohortCommand) Help() string {
	return `Sends a school's cohort or class list: CSV with CHILD_FIRST_NAME, CHILD_LAST_NAME, CHILD_DATE_OF_BIRTH and whatever else there is of CHILD_… and PARENT_… columns. UTF-8, ISO-8859-1 and Windows-1252 are read; dates are YYYY-MM-DD or DD/MM/YYYY. Good rows go in; bad ones are written to the rejects file with the reason, to be corrected and sent again as they are. Sending a file again imports nothing twice.

Children are told apart by NHS number, given name and date of birth or, without a number, by both names and date of birth; a column LOCAL_ID overrides that.

Exit status: 0 every row is in, 3 some were refused, 1 the file could not be imported.

Examples:

  irthub import school-cohort cohort.csv --agency school-1 --dry-run
  irthub import school-cohort cohort.csv --agency school-1 --json | jq .rejected`
}

type importPracticesCommand struct{ importFlags }

// Help is shown by irthub import gp-practices --help.
func (importPracticesCommand) Help() string {
	return `Sends epraccur.csv of the NHS Organisation Data Service, as it is: every practice in it becomes an agency with the id gp- and its code, such as gp-a81001. Practices that are closed, dormant or proposed become inactive agencies. It needs the role hub-operator or data-manager. Sending it again changes what the register has changed.

Example:

  irthub import gp-practices epraccur.csv`
}

// Run imports the file.
func (c *importCohortCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT)
}

// Run imports the file.
func (c *importPracticesCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES)
}

func (f *importFlags) run(ctx context.Context, s streams, format irtv1.ImportFormat) error {
	if f.Agency == "" {
		f.Agency = "-"
	}
	conn, err := f.dial("")
	if err != nil {
		return err
	}
	defer conn.Close()
	client := irtv1.NewImportServiceClient(conn)
	done, err := f.upload(ctx, s, client, &irtv1.ImportHeader{
		Parent: "agencies/" + f.Agency, Format: format, ValidateOnly: f.DryRun,
	})
	if err != nil {
		return failure("importing "+f.File, err)
	}
	rejectsFile, err := f.writeRejects(ctx, client, done, format)
	if err != nil {
		return failure("writing the rows that were refused", err)
	}
	if err := f.report(s, done, rejectsFile); err != nil {
		return err
	}
	if done.GetRejected() > 0 {
		return status{fmt.Errorf("%d of %d rows were refused", done.GetRejected(), done.GetRows()), exitRejected}
	}
	return nil
}

// upload sends the file and waits until its last row is durable.
func (f *importFlags) upload(ctx context.Context, s streams, client irtv1.ImportServiceClient, header *irtv1.ImportHeader) (*irtv1.Import, error) {
	file, size, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	stream, err := client.CreateImport(ctx)
	if err != nil {
		return nil, err
	}
	bar := newBytesBar(s.err, size)
	defer bar.end()
	err = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: header}})
	if err == nil {
		err = sendChunks(stream, file, bar)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.CloseAndRecv() // after io.EOF it says why the hub ended the call
}

// open opens the file; the size is -1 where nobody knows it.
func (f *importFlags) open() (file io.ReadCloser, size int64, err error) {
	if f.File == "-" {
		return io.NopCloser(os.Stdin), -1, nil
	}
	opened, err := os.Open(f.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := opened.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, opened.Close())
	}
	if !info.Mode().IsRegular() { // a pipe, or a directory, which reading refuses
		return opened, -1, nil
	}
	return opened, info.Size(), nil
}

func sendChunks(stream grpc.ClientStreamingClient[irtv1.CreateImportRequest, irtv1.Import], file io.Reader, bar *bar) error {
	for {
		chunk := make([]byte, uploadChunk) // the message is handed over, so each needs its own
		n, err := io.ReadFull(file, chunk)
		if n > 0 {
			part := &irtv1.CreateImportRequest_Chunk{Chunk: chunk[:n]}
			if err := stream.Send(&irtv1.CreateImportRequest{Part: part}); err != nil {
				return err
			}
			bar.add(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the file: %w", err)
		}
	}
}

// report prints what became of the rows.
func (f *importFlags) report(s streams, done *irtv1.Import, rejectsFile string) error {
	out := s.out
	if f.JSON {
		out = s.err
	}
	rows := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name string, value any, note string) { fmt.Fprintf(rows, "%s\t%v\t%s\n", name, value, note) }
	wrote := "made or changed a record"
	if done.GetValidateOnly() {
		wrote = "would make or change a record: nothing was written"
	}
	line("rows", done.GetRows(), "in "+done.GetEncoding())
	line("accepted", done.GetAccepted(), wrote)
	line("unchanged", done.GetUnchanged(), "were in the hub already")
	line("rejected", done.GetRejected(), rejectsNote(rejectsFile))
	line("queries", done.GetQueries(), "on data quality, kept with the records")
	if err := rows.Flush(); err != nil {
		return err
	}
	if ignored := done.GetIgnoredColumns(); len(ignored) > 0 {
		fmt.Fprintf(out, "columns left out: %s\n", strings.Join(ignored, ", "))
	}
	fmt.Fprintf(out, "import: %s\n", done.GetName())
	if !f.JSON {
		return nil
	}
	return json.NewEncoder(s.out).Encode(struct {
		Rows      int32 `json:"rows"`
		Accepted  int32 `json:"accepted"`
		Unchanged int32 `json:"unchanged"`
		Rejected  int32 `json:"rejected"`
		Queries   int32 `json:"queries"`
	}{done.GetRows(), done.GetAccepted(), done.GetUnchanged(), done.GetRejected(), done.GetQueries()})
}

func rejectsNote(file string) string {
	if file == "" {
		return ""
	}
	return "written to " + file
}
