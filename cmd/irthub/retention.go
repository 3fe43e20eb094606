package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"irthub/internal/retention"
	"irthub/internal/standard"
)

type retentionCommand struct {
	Run retentionRunCommand `cmd:"" help:"Apply the retention rules now."`
}

type retentionRunCommand struct {
	dataFlag

	DryRun bool   `help:"Only say what would happen, and change nothing."`
	Today  string `placeholder:"DATE" help:"Apply the rules as of this day, YYYY-MM-DD (default: today in England). Another day than today needs --dry-run or --force."`
	Force  bool   `help:"Apply the rules of another day for good: for trials. What is purged before its day does not come back."`
	JSON   bool   `name:"json" help:"Print the counts as JSON."`
}

// Help is shown by irthub retention run --help.
func (retentionRunCommand) Help() string {
	return `Archives the children who have grown up or died, or whom no agency has had a record of for a year; puts back into use those who are archived and should not be; purges those who have been in the archive for six years. docs/RETENTION.md says exactly when. A running hub does this every day by itself, in one of its processes.

What is purged is gone: children, records, involvements, consents and their histories. The access log stays, and says what was purged.

Examples:

  irthub retention run --dry-run
  irthub retention run --dry-run --today 2030-01-01
  irthub retention run`
}

// Run applies the rules, or rehearses them.
func (c *retentionRunCommand) Run(ctx context.Context, s streams) (err error) {
	today, err := c.day()
	if err != nil {
		return usage(err)
	}
	db, err := openAudit(ctx, c.Data, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	apply := retention.Run
	if c.DryRun {
		apply = retention.Rehearse
	}
	report, err := apply(ctx, db.Pool, today)
	if err != nil {
		return err
	}
	return c.tell(s, today, report)
}

func (c *retentionRunCommand) day() (time.Time, error) {
	if c.Today == "" {
		return standard.Today(), nil
	}
	day, err := standard.ParseDate(c.Today)
	if err != nil {
		return day, fmt.Errorf("--today: %w", err)
	}
	if !day.Equal(standard.Today()) && !c.DryRun && !c.Force {
		return day, errors.New("--today: another day than today needs --dry-run; with --force its rules are applied for good")
	}
	return day, nil
}

func (c *retentionRunCommand) tell(s streams, today time.Time, r retention.Report) error {
	if c.JSON {
		return json.NewEncoder(s.out).Encode(r)
	}
	told := "As of %s: archived %d children, put back into use %d, purged %d.\n"
	if c.DryRun {
		told = "As of %s it would archive %d children, put back into use %d, and purge %d.\n"
	}
	_, err := fmt.Fprintf(s.out, told, today.Format(time.DateOnly), r.Archived, r.Restored, r.Purged)
	if err == nil && r.Overdue > 0 {
		_, err = fmt.Fprintf(s.out, "%d provisional shields wait for a second person, and are overdue.\n", r.Overdue)
	}
	return err
}
