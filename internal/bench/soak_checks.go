package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"irthub/internal/accesslog"
)

// checksAtMost is how long the checks of a soak may take.
const checksAtMost = 10 * time.Minute

// check looks, also when the soak was ended early, whether what was acknowledged is
// there, the access log is whole and webhooks were genuine. ErrNotWhole says what is not
// so.
func (s *soak) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checksAtMost)
	defer cancel()
	s.l.o.Progress("looking whether all is as it must be")
	for _, look := range []func(context.Context) (Check, error){s.checkStanding, s.checkWebhooks, s.checkAccessLog} {
		c, err := look(ctx)
		if err != nil {
			return fmt.Errorf("bench: checking after the soak: %w", err)
		}
		s.report.Checks = append(s.report.Checks, c)
	}
	var wrong []error
	for _, c := range s.report.Checks {
		if !c.Whole {
			wrong = append(wrong, fmt.Errorf("%w: %s", ErrNotWhole, c.Words))
		}
	}
	return errors.Join(append(wrong, s.hooks.unsubscribe(ctx, s.l))...)
}

// standingOf is how a table tells the version that stands.
var standingOf = map[string]string{"child_records": "address_lines[1]", "concerns": "review_date::text", "involvements": "end_date::text"}

// checkStanding looks whether each thing stands as it was acknowledged last.
func (s *soak) checkStanding(ctx context.Context) (c Check, err error) {
	c.Whole = true
	var words []string
	for _, table := range []string{"child_records", "concerns", "involvements"} {
		var agencies, ids, want []string
		for _, a := range s.askers {
			for is, standing := range a.standing {
				if parts := strings.Split(is.name, "/"); is.table == table {
					agencies, ids, want = append(agencies, parts[1]), append(ids, parts[3]), append(want, standing)
				}
			}
		}
		var wrong int
		err := s.l.pool.QueryRow(ctx, `SELECT count(*) FROM unnest($1::text[], $2::text[], $3::text[]) AS a (agency_id, local_id, standing)
			LEFT JOIN `+table+` t ON t.agency_id = a.agency_id AND t.local_id = a.local_id
			WHERE t.`+standingOf[table]+` IS DISTINCT FROM a.standing`, agencies, ids, want).Scan(&wrong)
		if err != nil {
			return c, err
		}
		c.Whole = c.Whole && wrong == 0
		words = append(words, fmt.Sprintf("%d of %d %s", len(want)-wrong, len(want), strings.ReplaceAll(table, "_", " ")))
	}
	c.Words = "acknowledged, and stand as acknowledged last: " + strings.Join(words, ", ")
	return c, nil
}

// checkWebhooks looks whether what the hub says it has delivered came, and was genuine.
func (s *soak) checkWebhooks(ctx context.Context) (c Check, err error) {
	var delivered, failed, waiting int64
	err = s.l.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE outcome = 1), count(*) FILTER (WHERE outcome <> 1),
		(SELECT count(*) FROM river_job WHERE kind = 'webhook' AND finalized_at IS NULL) FROM webhook_deliveries`).Scan(&delivered, &failed, &waiting)
	received, invalid := s.hooks.received.Load(), s.hooks.invalid.Load() // after what the hub has noted
	c.Whole = invalid == 0 && received >= delivered
	c.Words = fmt.Sprintf("webhooks: %d deliveries received, %d with an invalid signature; by the hub %d were delivered, %d attempts failed, %d wait",
		received, invalid, delivered, failed, waiting)
	return c, err
}

// checkAccessLog does as irthub audit verify.
func (s *soak) checkAccessLog(ctx context.Context) (c Check, err error) {
	keys, err := accesslog.LoadKeys(s.l.dir)
	if err != nil {
		return c, err
	}
	r, err := accesslog.Verify(ctx, s.l.pool, keys, accesslog.Options{})
	if err != nil {
		return c, err
	}
	if c.Whole = r.Whole(); !c.Whole {
		c.Words = fmt.Sprintf("access log: %d faults; the first: %s", r.Count, r.Faults[0])
		return c, nil
	}
	c.Words = fmt.Sprintf("access log verified: %d entries", r.Size)
	return c, nil
}
