package main

import (
	"context"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
	"irthub/internal/timeline/picture"
)

// timelineCommand shows what happened to a child.
type timelineCommand struct {
	clientFlags

	Child   string    `arg:"" help:"The child: children/…."`
	Purpose string    `placeholder:"CODE" default:"DIRECT_CARE" help:"Why: a code of the purpose list (default: DIRECT_CARE)."`
	AsOf    string    `placeholder:"DATE" help:"Only what had begun by this day, YYYY-MM-DD."`
	KnownAt time.Time `placeholder:"TIME" format:"2006-01-02T15:04:05Z07:00" help:"As the hub knew it at this instant, such as 2026-02-03T10:00:00Z."`
	SVG     string    `name:"svg" type:"path" placeholder:"FILE" help:"Draw it to this file: who was involved when."`
	JSON    bool      `name:"json" help:"One JSON object a line, as the API gives them."`
}

// Help is shown by irthub timeline --help.
func (timelineCommand) Help() string {
	return `Lists what happened to a child as far as you may see it, the newest first: when it came to be known, moves, who worked with it and led, concerns, referrals, consents, contact. What was withheld, and how to ask, is said on standard error.

Examples:

  irthub timeline children/06d3k8v2r1w7r9q4x5b6n8m0c0
  irthub timeline children/06d3k8v2r1w7r9q4x5b6n8m0c0 --purpose SAFEGUARDING --svg story.svg`
}

// Run reads the whole timeline and shows it.
func (c *timelineCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dial(c.Purpose)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is left to send
	req := &irtv1.ListTimelineEntriesRequest{Parent: c.Child, AsOf: c.AsOf, PageSize: 1000}
	if !c.KnownAt.IsZero() {
		req.KnownAt = timestamppb.New(c.KnownAt)
	}
	var entries []*irtv1.TimelineEntry
	client := irtv1.NewTimelineServiceClient(conn)
	for {
		page, err := client.ListTimelineEntries(ctx, req)
		if err != nil {
			return failure("reading the timeline", err)
		}
		entries = append(entries, page.GetEntries()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			for _, w := range page.GetWithheld() {
				s.say("withheld: %s", w.GetHowToAsk())
			}
			break
		}
	}
	if c.SVG != "" {
		if err := writeFile(c.SVG, func(f *os.File) error { return picture.WriteSVG(f, entries, standard.Today()) }); err != nil {
			return err
		}
	}
	if !c.JSON {
		return picture.Write(s.out, entries)
	}
	for _, e := range entries {
		b, err := protojson.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := s.out.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}
