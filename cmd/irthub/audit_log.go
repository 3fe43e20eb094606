package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"irthub/internal/accesslog"
)

type auditCheckpointCommand struct {
	dataFlag
}

// Help is shown by irthub audit checkpoint --help.
func (auditCheckpointCommand) Help() string {
	return `Prints the newest checkpoint: the size and root of the log's tree, signed by the hub, as a C2SP tlog-checkpoint. Keep it where those who run the hub cannot change it. irthub audit verify --since FILE then proves that the log has only grown.

Example:

  irthub audit checkpoint > $(date +%F).checkpoint`
}

// Run prints the checkpoint.
func (c *auditCheckpointCommand) Run(ctx context.Context, s streams) (err error) {
	db, err := openAudit(ctx, c.Data, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	checkpoint, err := accesslog.LastCheckpoint(ctx, db.Pool)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(s.out, checkpoint.Note)
	return err
}

type auditKeyCommand struct {
	dataFlag

	Roll bool `help:"Make a new signing key first; checkpoints of the old one stay good. Hubs take it up when they are started again."`
}

// Help is shown by irthub audit key --help.
func (auditKeyCommand) Help() string {
	return `Prints the verifier key of the access log: give it to whoever is to check checkpoints and proofs. The signing key is DIR/access-log.key. All hubs on one database need the same.

Examples:

  irthub audit key
  irthub audit key --roll`
}

// Run prints the verifier key.
func (c *auditKeyCommand) Run(s streams) error {
	load := func(dir string) (*accesslog.Keys, error) { return accesslog.LoadKeys(dir) }
	if c.Roll {
		load = accesslog.RollKey
	}
	keys, err := load(c.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no key of an access log in %s yet: irthub serve makes it", c.Data)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, keys.VerifierKey())
	return err
}

type auditPurgeCommand struct {
	dataFlag

	Before string `required:"" placeholder:"YYYY-MM-DD" help:"Entries before this day; it must be a year ago at least."`
}

// Help is shown by irthub audit purge --help.
func (auditPurgeCommand) Help() string {
	return `Forgets for good the parts of entries that name or lead to people: the practitioner, on whose behalf, the client's address, the reason, the children, the query, what was returned. When, by which agency, in which role, for what purpose, by which method and with which outcome stays, and so does the tree. The purge is itself an entry of the log.

Example:

  irthub audit purge --before 2019-09-01`
}

// Run purges.
func (c *auditPurgeCommand) Run(ctx context.Context, s streams) (err error) {
	before, err := time.Parse(time.DateOnly, c.Before)
	if err != nil {
		return usage(errors.New("--before: a day such as 2019-09-01"))
	}
	db, err := openAudit(ctx, c.Data, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	n, err := accesslog.Purge(ctx, db.Pool, before)
	if n > 0 || err == nil {
		_, _ = fmt.Fprintf(s.out, "%d entries were purged.\n", n)
	}
	return err
}
