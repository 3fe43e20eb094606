package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"irthub/internal/accesslog"
)

type auditUnusualCommand struct {
	dataFlag

	Since  string `placeholder:"YYYY-MM-DD" help:"From this day on (default: a week before --until)."`
	Until  string `placeholder:"YYYY-MM-DD" help:"Before this day (default: now)."`
	Agency string `placeholder:"ID" help:"Only callers of this agency."`
	Limit  int    `default:"100" help:"How many callers at most (default: 100)."`
	CSV    bool   `name:"csv" help:"Print a CSV file."`
}

// Help is shown by irthub audit unusual --help.
func (auditUnusualCommand) Help() string {
	return `Lists the callers whose accesses in a period were unusual, those with most signs first: at night and on weekends, to children of the caller's own surname, to many children that the agency does not work with, repeated emergencies, many refusals, limits gone over. A sign is a reason to ask, and proves nothing. Over the API AuditService.ListUnusualAccess says the same.

Examples:

  irthub audit unusual
  irthub audit unusual --since 2026-10-01 --until 2026-11-01 --csv > october.csv`
}

// Run lists.
func (c *auditUnusualCommand) Run(ctx context.Context, s streams) (err error) {
	since, until, err := c.period(time.Now())
	if err != nil {
		return usage(err)
	}
	db, err := openAudit(ctx, c.Data, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	found, err := accesslog.ListUnusual(ctx, db.Pool, since, until, strings.TrimPrefix(c.Agency, "agencies/"), c.Limit)
	if err != nil {
		return err
	}
	if c.CSV {
		return accesslog.WriteUnusual(s.out, found)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "AGENCY\tPRACTITIONER\tROLE\tACCESSES\tCHILDREN\tSIGNS") // Flush tells
	for i := range found {
		u := &found[i]
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", u.Agency, dash(u.Practitioner), u.Role, u.Accesses, u.Children, strings.Join(u.Signs(), " "))
	}
	return w.Flush()
}

func (c *auditUnusualCommand) period(now time.Time) (since, until time.Time, err error) {
	until = now
	if c.Until != "" {
		if until, err = time.Parse(time.DateOnly, c.Until); err != nil {
			return since, until, errors.New("--until: a day such as 2026-11-01")
		}
	}
	since = until.AddDate(0, 0, -7)
	if c.Since != "" {
		if since, err = time.Parse(time.DateOnly, c.Since); err != nil {
			return since, until, errors.New("--since: a day such as 2026-10-01")
		}
	}
	if c.Limit < 1 || !since.Before(until) {
		return since, until, errors.New("--since must be before --until, and --limit at least 1")
	}
	return since, until, nil
}
