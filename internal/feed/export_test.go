package feed

import "time"

// Hurry shortens how often a watcher hears something, and how long it may take
// nothing in. It must be called while nobody watches.
func (s *Service) Hurry(heartbeat, stalled time.Duration) {
	s.times = times{heartbeat: heartbeat, stalled: stalled, check: stalled / 4}
}

// Recent is how many events are held in memory.
const Recent = recent
