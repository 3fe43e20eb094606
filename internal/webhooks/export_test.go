package webhooks

import (
	"context"
	"net/http"
	"time"
)

// Hurry shortens the waits between attempts, and how long one may take. It must be
// called before Start.
func (s *Service) Hurry(longest, attempt time.Duration) {
	s.firstRetry, s.longestRetry, s.client.Timeout = longest/4, longest, attempt
}

// SendThrough has every message sent through a transport. It must be called before Start.
func (s *Service) SendThrough(t http.RoundTripper) { s.client.Transport = t }

// Tidy does at once what is done every hour.
func (s *Service) Tidy(ctx context.Context) error { return s.tidy(ctx) }

// The parts of the package that are tested by themselves.
var (
	Public   = public
	CheckURL = checkURL
)

// Attempts is how often an event is attempted.
const Attempts = attemptsAtMost
