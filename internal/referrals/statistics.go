package referrals

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
)

// Of all that an agency has received, and of each service that was asked for. A row of
// all has no service, which is not that of the referrals that asked for none.
const (
	countsSQL = `
	SELECT service, state, count(*)::int FROM referrals WHERE recipient_id = $1
	GROUP BY GROUPING SETS ((service, state), (state)) ORDER BY service, state`

	waitsSQL = `
	SELECT service, coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), 0), coalesce(percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds), 0)
	FROM (SELECT service, extract(epoch FROM acknowledge_time - send_time)::float8 AS seconds FROM referrals
		WHERE recipient_id = $1 AND acknowledge_time IS NOT NULL) w
	GROUP BY GROUPING SETS ((service), ())`
)

// GetReferralStatistics implements irt.v1.ReferralService.
func (s *Service) GetReferralStatistics(ctx context.Context, req *irtv1.GetReferralStatisticsRequest) (*irtv1.ReferralStatistics, error) {
	if err := s.ownAgency(ctx, req.GetParent()); err != nil {
		return nil, err
	}
	agency, _ := agencies.ParseName(req.GetParent())
	out := &irtv1.ReferralStatistics{}
	of := map[string]*irtv1.ReferralServiceStatistics{}
	var service *string
	var state irtv1.ReferralState
	var count int32
	err := s.each(ctx, countsSQL, agency, []any{&service, &state, &count}, func() {
		one := &irtv1.ReferralCount{State: state, Count: count}
		if service == nil {
			out.Counts = append(out.Counts, one)
			return
		}
		if of[*service] == nil {
			of[*service] = &irtv1.ReferralServiceStatistics{}
			if *service != "" {
				of[*service].Service = agencies.ServiceName(agency, *service)
			}
			out.Services = append(out.Services, of[*service])
		}
		of[*service].Counts = append(of[*service].Counts, one)
	})
	if err != nil {
		return nil, err
	}
	var median, p90 float64
	return out, s.each(ctx, waitsSQL, agency, []any{&service, &median, &p90}, func() {
		switch {
		case service == nil:
			out.MedianAcknowledgeSeconds, out.P90AcknowledgeSeconds = median, p90
		case of[*service] != nil: // else it came between the two
			of[*service].MedianAcknowledgeSeconds, of[*service].P90AcknowledgeSeconds = median, p90
		}
	})
}

// each runs fn for every row that a query about an agency gives.
func (s *Service) each(ctx context.Context, sql, agency string, into []any, fn func()) error {
	rows, err := s.pool.Query(ctx, sql, agency) //nolint:rowserrcheck // ForEachRow does
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, func() error {
			fn()
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("referrals: counting: %w", err)
	}
	return nil
}
