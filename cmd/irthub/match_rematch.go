package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/concerns"
	"irthub/internal/server"
)

type matchRematchCommand struct {
	dataFlag
	concernWindowFlag
	matchModelFlag

	DryRun  bool `help:"Change nothing: say what would change."`
	Restart bool `help:"Begin at the first record, also where an earlier run was broken off."`
	Batch   int  `default:"100" placeholder:"N" help:"How many records at a time (default: 100, at most 500). Submissions wait for a batch to end."`
	JSON    bool `name:"json" help:"Print the tally as one JSON object."`
}

// Help is shown by irthub match rematch --help.
func (matchRematchCommand) Help() string {
	return `Matches every record of the index again, as the hub does when a record is submitted with other details: for after the model of matching has changed. Where another version of the hub made the blocking keys by which records are found, it makes those anew first; a hub says so in its log when it starts. A record that stands alone becomes one with the child it describes; one that does not fit its child's other records any more leaves them, with its involvements; two children that look like one go to review. What people decided holds: confirmed records stay together, and those found to be of two children stay apart.

It goes by the model by which the hubs on the database go or, where none runs, went last, also without --match-model. What another model would change a dry run with --match-model says, before a hub is given it; what hubs that run would undo by their own model is refused.

It works on the hub's database, in batches, beside the hub. Broken off, it goes on where it was when it is run again. A dry run looks at each record as the index is now: it does not see what an earlier record's move would change for a later one.

Examples:

  irthub match rematch --dry-run
  irthub match rematch --dry-run --match-model model.json
  irthub match rematch --json
  IRTHUB_DATABASE_URL=postgres://… irthub match rematch`
}

// Run matches everything again.
func (c *matchRematchCommand) Run(ctx context.Context, s streams) (err error) {
	if c.Batch < 1 || c.Batch > 500 {
		return usage(errors.New("--batch: from 1 to 500"))
	}
	window, err := c.window()
	if err != nil {
		return err
	}
	model, err := c.model()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := server.OpenDatabase(ctx, c.Data, os.Getenv(databaseURLVariable), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	directory, err := agencies.NewDirectory(ctx, db.Pool, log)
	if err != nil {
		return err
	}
	defer directory.Close()
	var keys, records bar
	o := children.RematchOptions{
		DryRun: c.DryRun, Restart: c.Restart, Batch: c.Batch,
		Rekeying: keys.follow(s.err, "making keys anew"), Progress: records.follow(s.err, "matching again"),
		Follower: concerns.Follow(window), Model: model,
	}
	tally, err := children.Rematch(ctx, db.Pool, directory, o)
	keys.end()
	records.end()
	if tally == nil {
		return err
	}
	if c.JSON {
		return errors.Join(err, json.NewEncoder(s.out).Encode(tally))
	}
	printRematch(s.out, tally)
	return err
}

func printRematch(w io.Writer, t *children.RematchTally) {
	did := "matched again"
	if t.DryRun {
		did = "looked at; nothing was changed"
	}
	fmt.Fprintf(w, "%d records %s, with the model %s\n", t.Records, did, t.Model)
	if t.Rekeyed > 0 && t.DryRun {
		fmt.Fprintf(w, "%d records have blocking keys of another version: they are made anew first, and then more is found than is told here\n", t.Rekeyed)
	} else if t.Rekeyed > 0 {
		fmt.Fprintf(w, "%d records' blocking keys were made anew\n", t.Rekeyed)
	}
	for _, line := range []struct {
		n    int
		what string
	}{
		{t.Same, "stay where they are"},
		{t.Merged, "stood alone and become one with another child"},
		{t.Moved, "leave others for another child"},
		{t.Parted, "leave others for a child of their own"},
		{t.Reviews, "reviews are raised"},
		{t.Changed, "were submitted anew meanwhile"},
	} {
		fmt.Fprintf(w, "%8d  %s\n", line.n, line.what)
	}
	fmt.Fprintf(w, "by band: %s\n", counts(t.Bands))
	if len(t.ByRule) > 0 {
		fmt.Fprintf(w, "by rule: %s\n", counts(t.ByRule))
	}
}

func counts(of map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, of[k]))
	}
	return strings.Join(parts, ", ")
}
