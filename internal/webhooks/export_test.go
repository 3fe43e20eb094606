package webhooks

import "time"

// Hurry shortens the waits between attempts, and how long one may take. It must be
// called before Start.
func (s *Service) Hurry(longest, attempt time.Duration) {
	s.firstRetry, s.longestRetry, s.client.Timeout = longest/4, longest, attempt
}

// The parts of the package that are tested by themselves.
var (
	Public   = public
	CheckURL = checkURL
)

// Attempts is how often an event is attempted.
const Attempts = attemptsAtMost
