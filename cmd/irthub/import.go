package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	irtv1 "irthub/gen/irt/v1"
)

type importCommand struct {
	ChildRecords importRecordsCommand      `cmd:"" help:"Import child records in the hub's own form: CSV or one JSON object a line."`
	Involvements importInvolvementsCommand `cmd:"" help:"Import involvements in the hub's own form: CSV or one JSON object a line."`
	Concerns     importConcernsCommand     `cmd:"" help:"Import concerns in the hub's own form: CSV or one JSON object a line."`
	Referrals    importReferralsCommand    `cmd:"" help:"Import referrals in the hub's own form: CSV or one JSON object a line."`
	Plans        importPlansCommand        `cmd:"" help:"Import plans of social care in the hub's own form: CSV or one JSON object a line."`
	Consents     importConsentsCommand     `cmd:"" help:"Import consents in the hub's own form: CSV or one JSON object a line."`
	Services     importServicesCommand     `cmd:"" help:"Import an agency's services in the hub's own form: CSV or one JSON object a line."`
	SchoolCohort importCohortCommand       `cmd:"" help:"Import a school's cohort or class list, CSV."`
	CINCensus    importCensusCommand       `cmd:"" name:"cin-census" help:"Import a children in need census, XML."`
	GPPractices  importPracticesCommand    `cmd:"" name:"gp-practices" help:"Import the NHS register of GP practices, epraccur.csv."`
	Template     importTemplateCommand     `cmd:"" help:"Print the template of a form, CSV, to be filled in."`
	Rejects      importRejectsCommand      `cmd:"" help:"Print the rows of an import that were refused, and why, CSV."`
	List         importListCommand         `cmd:"" help:"List an agency's imports, the newest first."`
	Cancel       importCancelCommand       `cmd:"" help:"Cancel an import that runs or was interrupted."`
}

// importFlags are those of every import.
type importFlags struct {
	clientFlags

	File    string `arg:"" placeholder:"FILE" help:"The file; - is standard input."`
	Agency  string `placeholder:"ID" help:"The agency whose file it is (default: the token's own)."`
	DryRun  bool   `help:"Only check: say what would become of each row, and write nothing."`
	Rejects string `placeholder:"FILE" type:"path" help:"Where to write the rows that are refused, and why (default: beside the file, NAME.rejects.csv)."`
	Resume  string `placeholder:"NAME" help:"The import to go on with, agencies/…/imports/…, as an earlier run named it."`
	JSON    bool   `name:"json" help:"End with one line of JSON on standard output; the summary goes to standard error."`
}

type importRecordsCommand struct{ importFlags }

// Help is shown by irthub import child-records --help.
func (importRecordsCommand) Help() string {
	return `Sends child records in the hub's own form. A file whose name ends in .ndjson or .jsonl has one ChildRecord a line, as JSON; any other is CSV with a column for each field: irthub import template child-records prints the header. name is your own id of the record.

An upload that breaks off, or a hub that is started again, is waited for, and the import goes on from the last row that was acknowledged.

Exit status: 0 every row is in, 3 some were refused, 1 the file could not be imported.

Example:

  irthub import child-records children.csv --agency social-care-1 --dry-run`
}

// Run imports the file.
func (c *importRecordsCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS)
}

type importInvolvementsCommand struct{ importFlags }

// Help is shown by irthub import involvements --help.
func (importInvolvementsCommand) Help() string {
	return `Sends involvements in the hub's own form, CSV or one JSON object a line (.ndjson, .jsonl). name is your own id of the involvement, childRecord your own id of the child's record, practitioner your own id of the practitioner.

Example:

  irthub import involvements involvements.csv --agency social-care-1`
}

// Run imports the file.
func (c *importInvolvementsCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS)
}

type importConcernsCommand struct{ importFlags }

// Help is shown by irthub import concerns --help.
func (importConcernsCommand) Help() string {
	return `Sends concerns in the hub's own form, CSV or one JSON object a line (.ndjson, .jsonl). name is your own id of the concern, childRecord your own id of the child's record, practitioner your own id of whom to ring. Sending a concern again changes it while it is open.

Example:

  irthub import concerns concerns.csv --agency school-1`
}

// Run imports the file.
func (c *importConcernsCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS)
}

type importReferralsCommand struct{ importFlags }

// Help is shown by irthub import referrals --help.
func (importReferralsCommand) Help() string {
	return `Sends referrals in the hub's own form, CSV or one JSON object a line (.ndjson, .jsonl). name is your own id of the referral, childRecord your own id of the child's record, recipient the agency that is asked, urgency ROUTINE, URGENT or IMMEDIATE (in JSON REFERRAL_URGENCY_ROUTINE and so on). Sending a referral again changes nothing.

Example:

  irthub import referrals referrals.csv --agency school-1`
}

// Run imports the file.
func (c *importReferralsCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS)
}

type importPlansCommand struct{ importFlags }

// Help is shown by irthub import plans --help.
func (importPlansCommand) Help() string {
	return `Sends plans of social care in the hub's own form, CSV or one JSON object a line (.ndjson, .jsonl). name is your own id of the plan, childRecord your own id of the child's record, kind CHILD_PROTECTION, LOOKED_AFTER or UNBORN (in JSON PLAN_KIND_CHILD_PROTECTION and so on), practitioner your own id of whom to ring. A plan that is sent again replaces the earlier version: one whose end was recorded in the hub alone goes on if the file has no endDate.

Example:

  irthub import plans plans.csv --agency social-care-1`
}

// Run imports the file.
func (c *importPlansCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_PLANS_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_PLANS)
}

type importConsentsCommand struct{ importFlags }

// Help is shown by irthub import consents --help.
func (importConsentsCommand) Help() string {
	return `Sends consents in the hub's own form, CSV or one JSON object a line (.ndjson, .jsonl). name is your own id of the consent, childRecord your own id of the child's record, scope SHARING, SENSITIVE_INVOLVEMENT or RETENTION (in JSON CONSENT_SCOPE_SHARING and so on), categories.1 and so on what may be shared, recipients.1 and so on with which agencies, givenBy CHILD or PARENTAL_RESPONSIBILITY. A consent that is sent again replaces the earlier version; one that was withdrawn does not come back.

Example:

  irthub import consents consents.csv --agency social-care-1`
}

// Run imports the file.
func (c *importConsentsCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS)
}

type importServicesCommand struct{ importFlags }

// Help is shown by irthub import services --help.
func (importServicesCommand) Help() string {
	return `Sends an agency's services in the hub's own form, CSV or one JSON object a line (.ndjson, .jsonl). name is your own id of the service, by which referrals ask for it, kind a code of the list service-kind, minimumAge and maximumAge whole years, state ACTIVE or INACTIVE (in JSON AGENCY_STATE_ACTIVE and so on), ACTIVE where it is not stated. A service that is sent again replaces the earlier version; one that is not in the file stays as it is, so one that ended is sent as INACTIVE.

Example:

  irthub import services services.csv --agency early-help-1`
}

// Run imports the file.
func (c *importServicesCommand) Run(ctx context.Context, s streams) error {
	if c.isJSON() {
		return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_SERVICES_NDJSON)
	}
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_SERVICES)
}

type importCensusCommand struct{ importFlags }

// Help is shown by irthub import cin-census --help.
func (importCensusCommand) Help() string {
	return `Sends the XML file of a children in need census. Every child becomes, or completes, the agency's record under the LA child id, and every period in need an involvement of social care. The census holds no names: a child without an earlier record gets the name Unknown, with a query. docs/EXCHANGE.md says what is taken from which element.

Example:

  irthub import cin-census CIN_2026.xml --agency social-care-1`
}

// Run imports the file.
func (c *importCensusCommand) Run(ctx context.Context, s streams) error {
	return c.run(ctx, s, irtv1.ImportFormat_IMPORT_FORMAT_CIN_CENSUS)
}

// isJSON tells a file of JSON lines by its name.
func (f *importFlags) isJSON() bool {
	ext := strings.ToLower(filepath.Ext(f.File))
	return ext == ".ndjson" || ext == ".jsonl"
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
	header := &irtv1.ImportHeader{Parent: "agencies/" + f.Agency, Format: format, ValidateOnly: f.DryRun, Import: f.Resume}
	done, err := f.send(ctx, s, client, header, firstWait)
	if err != nil {
		return f.brokenOff(ctx, header.GetImport(), err)
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
	line("rejected", done.GetRejected(), rejectsNote(done, rejectsFile))
	line("queries", done.GetQueries(), "on data quality, kept with the records")
	for _, c := range done.GetRuleCounts() {
		note := c.GetDescription()
		if c.GetGrade() == irtv1.RuleGrade_RULE_GRADE_ERROR {
			note = strings.TrimSpace("rejected: " + note)
		}
		line("  "+c.GetRuleId(), c.GetCount(), note)
	}
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

func rejectsNote(done *irtv1.Import, file string) string {
	switch {
	case file != "":
		return "written to " + file
	case done.GetRejected() > 0:
		return "irthub import rejects " + done.GetName() + " prints them"
	}
	return ""
}
