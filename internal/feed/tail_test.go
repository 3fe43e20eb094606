package feed

import (
	"testing"

	"irthub/internal/events"
)

// newTail is a tail at position 0 that a group of each name watches.
func newTail(names ...string) (*tail, map[string]*group) {
	t := &tail{groups: map[string]*group{}}
	for _, name := range names {
		t.groups[name] = &group{news: make(chan struct{})}
	}
	return t, t.groups
}

// publishTo puts as many further events for an agency into the tail.
func publishTo(t *testing.T, tail *tail, agency string, n int) {
	t.Helper()
	after := tail.end
	entries := make([]*Entry, n)
	for i := range entries {
		entries[i] = &Entry{Logged: &events.Logged{At: events.Position{N: after.N + int64(i) + 1}}, agencies: []string{agency}}
	}
	if err := tail.publish(after, entries); err != nil {
		t.Fatal(err)
	}
}

func at(n int64) events.Position { return events.Position{N: n} }

// An event after a long time for which there was none does not send all who watch for
// that agency to the log.
func TestTailKnowsThatThereWasNothing(t *testing.T) {
	t.Parallel()
	tail, groups := newTail("quiet", "busy")
	publishTo(t, tail, "quiet", 1)
	publishTo(t, tail, "busy", 2*recent)
	publishTo(t, tail, "quiet", 1)
	last := int64(2*recent + 2)

	entries, end, _, behind := tail.next(groups["quiet"], at(1))
	if behind || len(entries) != recent || entries[recent-1].At.N != last || end.N != last {
		t.Errorf("after its last event: %d entries up to %d, behind: %t; want all that is held", len(entries), end.N, behind)
	}
	entries, _, _, behind = tail.next(groups["quiet"], at(last-3))
	if behind || len(entries) != 3 || entries[0].At.N != last-2 {
		t.Errorf("within what is held: %d entries, behind: %t; want 3", len(entries), behind)
	}
	if _, _, _, behind = tail.next(groups["quiet"], at(0)); !behind {
		t.Error("an event that is held no more is passed over")
	}
	if _, _, _, behind = tail.next(groups["busy"], at(recent)); !behind {
		t.Error("events that are held no more are passed over")
	}
	if entries, end, _, behind = tail.next(groups["busy"], at(last-1)); behind || len(entries) != 0 || end.N != last {
		t.Errorf("after its last event: %d entries up to %d, behind: %t; want none up to the end", len(entries), end.N, behind)
	}
}
