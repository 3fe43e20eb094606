package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/server"
	"irthub/internal/standard"
)

type auditCommand struct {
	Verify     auditVerifyCommand     `cmd:"" help:"Check that nothing was removed from the access log, altered or slipped in."`
	List       auditListCommand       `cmd:"" help:"List accesses, the newest first."`
	Checkpoint auditCheckpointCommand `cmd:"" help:"Print the newest signed checkpoint, to be kept elsewhere."`
	Key        auditKeyCommand        `cmd:"" help:"Print the key that checkpoints are checked with."`
	Unusual    auditUnusualCommand    `cmd:"" help:"List callers whose accesses were unusual."`
	Purge      auditPurgeCommand      `cmd:"" help:"Forget the personal parts of old entries."`
}

// openAudit opens the database of the access log, quietly.
func openAudit(ctx context.Context, data string, s streams) (*server.Database, error) {
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return server.OpenDatabase(ctx, data, os.Getenv(databaseURLVariable), log)
}

type auditVerifyCommand struct {
	dataFlag

	Since       string   `placeholder:"FILE" type:"existingfile" help:"A checkpoint that was kept elsewhere: also check that the log is the one it is of, and has only grown."`
	VerifierKey []string `placeholder:"KEY" sep:"none" help:"A key to check checkpoints with, besides those in DIR; may be repeated."`
	JSON        bool     `name:"json" help:"Print the result as JSON."`
}

// Help is shown by irthub audit verify --help.
func (auditVerifyCommand) Help() string {
	return `Recomputes the access log from its entries, as it stands in the database, and compares it with its tree and with every signed checkpoint. It changes nothing, and works while the hub runs.

The last line of standard output is the size of the tree and its root: "tree size N root HASH". Exit status: 0 the log is whole, 4 it is not, and the first bad entry is named, 1 it could not be checked.

A log that was put back to an earlier state, as from a backup, is whole by itself. Only a checkpoint that was kept elsewhere tells: see irthub audit checkpoint.

Examples:

  irthub audit verify
  irthub audit verify --since last-week.checkpoint
  IRTHUB_DATABASE_URL=postgres://… irthub audit verify --verifier-key 'irthub/3f…+12ab34cd+A…'`
}

// Run verifies.
func (c *auditVerifyCommand) Run(ctx context.Context, s streams) (err error) {
	db, err := openAudit(ctx, c.Data, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	keys, err := c.keys(ctx, s, db)
	if err != nil {
		return err
	}
	var options accesslog.Options
	if options.Since, err = c.since(keys); err != nil {
		return err
	}
	var shown *bar
	var told int64
	options.Progress = func(done, of int64) {
		if shown == nil {
			shown = newCountBar(s.err, of, "verifying")
		}
		shown.add(int(done - told))
		told = done
	}
	report, err := accesslog.Verify(ctx, db.Pool, keys, options)
	if shown != nil {
		shown.end()
	}
	if err != nil {
		return err
	}
	return c.tell(s, report)
}

// keys are those in the data directory and those given or, without any, what the
// database says its hub's key is.
func (c *auditVerifyCommand) keys(ctx context.Context, s streams, db *server.Database) (*accesslog.Keys, error) {
	keys, err := accesslog.LoadKeys(c.Data, c.VerifierKey...)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	left, err := accesslog.DatabaseVerifiers(ctx, db.Pool)
	if err != nil {
		return nil, err
	}
	if len(left) == 0 { // no sequencer has ever been at work: nothing is signed
		return accesslog.NewKeys("unsigned")
	}
	s.say("irthub: no key of the access log in %s and no --verifier-key: checkpoints are checked with the key that the database itself names, "+
		"which whoever can change the log could have changed too", c.Data)
	return accesslog.VerifierKeys(left...)
}

func (c *auditVerifyCommand) since(keys *accesslog.Keys) (*accesslog.Checkpoint, error) {
	if c.Since == "" {
		return nil, nil //nolint:nilnil // none was given
	}
	text, err := os.ReadFile(c.Since)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	kept, err := accesslog.OpenCheckpoint(text, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Since, err)
	}
	return kept, nil
}

// shownFaults is how many faults are told to people.
const shownFaults = 20

func (c *auditVerifyCommand) tell(s streams, r *accesslog.Report) error {
	root := base64.StdEncoding.EncodeToString(r.Root[:])
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(reportJSON(r, root)); err != nil {
			return err
		}
	} else {
		for _, f := range r.Faults[:min(len(r.Faults), shownFaults)] {
			_, _ = fmt.Fprintln(s.out, f)
		}
		if r.Waiting > 0 {
			_, _ = fmt.Fprintf(s.out, "%d entries wait for their place in the tree, the oldest since %s\n", r.Waiting, r.Oldest.UTC().Format(time.RFC3339))
		}
		if r.Purged > 0 {
			_, _ = fmt.Fprintf(s.out, "%d entries have had their personal parts purged\n", r.Purged)
		}
		if _, err := fmt.Fprintf(s.out, "tree size %d root %s\n", r.Size, root); err != nil {
			return err
		}
	}
	if r.Whole() {
		return nil
	}
	return status{fmt.Errorf("the access log is not whole: %d faults; the first: %s", r.Count, r.Faults[0]), exitNotWhole}
}

// faultJSON and resultJSON are what --json prints.
type faultJSON struct {
	Kind  string `json:"kind"`
	Entry string `json:"entry,omitempty"`
	Leaf  *int64 `json:"leaf,omitempty"`
	Words string `json:"words"`
}

type resultJSON struct {
	Whole    bool        `json:"whole"`
	TreeSize int64       `json:"treeSize"`
	RootHash string      `json:"rootHash"`
	Waiting  int64       `json:"waiting"`
	Purged   int64       `json:"purged"`
	Count    int64       `json:"faultCount"`
	Faults   []faultJSON `json:"faults"`
}

func reportJSON(r *accesslog.Report, root string) resultJSON {
	out := resultJSON{
		Whole: r.Whole(), TreeSize: r.Size, RootHash: root, Waiting: r.Waiting, Purged: r.Purged, Count: r.Count, Faults: []faultJSON{},
	}
	for _, f := range r.Faults {
		one := faultJSON{Kind: string(f.Kind), Words: f.Words}
		if f.Entry != uuid.Nil {
			one.Entry = f.Entry.String()
		}
		if f.Index >= 0 {
			one.Leaf = &f.Index
		}
		out.Faults = append(out.Faults, one)
	}
	return out
}

type auditListCommand struct {
	dataFlag

	Child  string `xor:"of" placeholder:"ID" help:"Accesses to a child: children/{child}, or its id alone."`
	Agency string `xor:"of" placeholder:"ID" help:"Accesses by an agency: agencies/{agency}, or its id alone."`
	Limit  int    `default:"25" help:"How many at most (default: 25)."`
	JSON   bool   `name:"json" help:"Print each access as a line of JSON."`
}

// Help is shown by irthub audit list --help.
func (auditListCommand) Help() string {
	return `Reads the access log from the database, also while the hub runs. What it prints is personal data of those who looked and of the children. Over the hub's API, AuditService.ListAccesses shows each caller what it may see.

Examples:

  irthub audit list --limit 100
  irthub audit list --child 06dt6hdmx1vynwv3tcmv7zp46g0
  irthub audit list --agency school-1 --json | jq .method`
}

// Run lists.
func (c *auditListCommand) Run(ctx context.Context, s streams) (err error) {
	filter, err := c.filter()
	if err != nil {
		return usage(err)
	}
	db, err := openAudit(ctx, c.Data, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	listed, err := accesslog.List(ctx, db.Pool, filter)
	if err != nil {
		return err
	}
	if c.JSON {
		return listJSON(s, listed)
	}
	return listTable(s, listed)
}

func (c *auditListCommand) filter() (f accesslog.Filter, err error) {
	if f.Limit = c.Limit; f.Limit < 1 {
		return f, errors.New("--limit: at least 1")
	}
	if c.Child != "" {
		child, err := standard.ParseChildID(strings.TrimPrefix(c.Child, "children/"))
		if err != nil {
			return f, fmt.Errorf("--child: %w", err)
		}
		f.Children = []uuid.UUID{child}
	}
	if c.Agency != "" {
		var ok bool
		if f.Agency, ok = agencies.ParseName("agencies/" + strings.TrimPrefix(c.Agency, "agencies/")); !ok {
			return f, errors.New("--agency: not the id of an agency")
		}
	}
	return f, nil
}

func listTable(s streams, listed []accesslog.Listed) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "TIME\tAGENCY\tPRACTITIONER\tROLE\tPURPOSE\tMETHOD\tDECISION\tLEAF\tENTRY\tCHILDREN") // Flush tells
	for _, l := range listed {
		var children []string
		for _, id := range l.Children {
			children = append(children, standard.FormatChildID(id))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Time.UTC().Format(time.RFC3339), l.Agency, dash(l.Practitioner),
			l.Role, dash(l.Purpose), l.Method[strings.LastIndexByte(l.Method, '/')+1:], l.Decision, l.Index, l.ID, dash(strings.Join(children, ",")))
	}
	return w.Flush()
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// accessJSON is a line of audit list --json.
type accessJSON struct {
	Entry         string          `json:"entry"`
	Time          time.Time       `json:"time"`
	Agency        string          `json:"agency"`
	Practitioner  string          `json:"practitioner,omitempty"`
	OnBehalfOf    string          `json:"onBehalfOf,omitempty"`
	Role          string          `json:"role"`
	Purpose       string          `json:"purpose,omitempty"`
	Reason        string          `json:"reason,omitempty"`
	Method        string          `json:"method"`
	Decision      string          `json:"decision"`
	StatusCode    int32           `json:"statusCode"`
	Children      []string        `json:"children,omitempty"`
	Query         json.RawMessage `json:"query,omitempty"`
	Returned      []string        `json:"returned,omitempty"`
	Withheld      []string        `json:"withheld,omitempty"`
	ClientAddress string          `json:"clientAddress,omitempty"`
	RequestID     string          `json:"requestId,omitempty"`
	Leaf          int64           `json:"leaf"`
}

func listJSON(s streams, listed []accesslog.Listed) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	for _, l := range listed {
		out := accessJSON{
			Entry: l.ID.String(), Time: l.Time.UTC(), Agency: l.Agency, Practitioner: l.Practitioner, OnBehalfOf: l.OnBehalfOf,
			Role: l.Role, Purpose: l.Purpose, Reason: l.Reason, Method: l.Method, Decision: l.Decision, StatusCode: l.StatusCode,
			Returned: l.Returned, Withheld: l.Withheld, ClientAddress: l.ClientAddress, RequestID: l.RequestID, Leaf: l.Index,
		}
		if l.Query != "" {
			out.Query = json.RawMessage(l.Query)
		}
		for _, id := range l.Children {
			out.Children = append(out.Children, "children/"+standard.FormatChildID(id))
		}
		if err := enc.Encode(out); err != nil {
			return err
		}
	}
	return nil
}
