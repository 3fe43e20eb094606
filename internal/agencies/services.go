package agencies

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// ServiceName is the resource name of a service:
// agencies/{agency}/services/{service}.
func ServiceName(agency, id string) string { return Name(agency) + "/services/" + id }

// parseServiceName takes the two ids out of it; ok is false for anything else.
func parseServiceName(name string) (agency, id string, ok bool) {
	agency, id, ok = ParseChildName(name, "services")
	return agency, id, ok && validID(id)
}

// GetService implements irt.v1.AgencyService.
func (s *Service) GetService(ctx context.Context, req *irtv1.GetServiceRequest) (*irtv1.Service, error) {
	agency, id, ok := parseServiceName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("service")
	}
	out, found, err := one(ctx, s.pool, scanService,
		`SELECT `+serviceColumns+` FROM services WHERE agency_id = @agency_id AND service_id = @service_id`,
		pgx.NamedArgs{"agency_id": agency, "service_id": id})
	if err == nil && !found {
		err = rpc.NotFound("service")
	}
	return out, err
}

// listServicesSQL lists the services of an agency, or of all where it is "".
const listServicesSQL = `SELECT ` + serviceColumns + ` FROM services
	WHERE (@agency_id = '' OR agency_id = @agency_id) AND (@kind = '' OR kind = @kind) AND (@inactive OR state = 1)
		AND (agency_id, service_id) > (@after_agency, @after_service)
	ORDER BY agency_id, service_id LIMIT @limit`

// ListServices implements irt.v1.AgencyService.
func (s *Service) ListServices(ctx context.Context, req *irtv1.ListServicesRequest) (*irtv1.ListServicesResponse, error) {
	const method = irtv1.AgencyService_ListServices_FullMethodName
	agency := ""
	if req.GetParent() != "agencies/-" {
		id, ok := ParseName(req.GetParent())
		if !ok {
			return nil, rpc.NotFound("agency")
		}
		if _, found, err := s.directory.Find(ctx, id); err != nil || !found {
			if err == nil {
				err = rpc.NotFound("agency")
			}
			return nil, err
		}
		agency = id
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	afterAgency, afterService, _ := strings.Cut(string(cursor), "/")
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	list, err := all(ctx, s.pool, scanService, listServicesSQL, pgx.NamedArgs{
		"agency_id": agency, "kind": standard.ServiceKind(req.GetKind()), "inactive": req.GetIncludeInactive(),
		"after_agency": afterAgency, "after_service": afterService, "limit": size + 1,
	})
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListServicesResponse{Services: list}
	if len(list) > size {
		out.Services = list[:size]
		lastAgency, last, _ := parseServiceName(list[size-1].GetName())
		if out.NextPageToken, err = s.tokens.Encode(method, req, []byte(lastAgency+"/"+last)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Offers says whether an agency can be asked for a service: whether it is one of its
// services that are in use. Of an agency that has recorded none at all nobody knows
// what it offers, so it can be asked for any.
func Offers(ctx context.Context, tx pgx.Tx, agency, id string) (offers bool, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(bool_or(service_id = $2 AND state = 1), true) FROM services WHERE agency_id = $1`, agency, id).
		Scan(&offers)
	if err != nil {
		return false, fmt.Errorf("agencies: looking for a service: %w", err)
	}
	return offers, nil
}

// serviceColumns are read by scanService, in its order.
const serviceColumns = `agency_id, service_id, display_name, kind, minimum_age, maximum_age, telephone, email,
	state, create_time, update_time, revision`

func scanService(row pgx.CollectableRow) (*irtv1.Service, error) {
	var (
		m                irtv1.Service
		agency, id       string
		state            int16
		created, updated time.Time
		revision         int32
	)
	err := row.Scan(&agency, &id, &m.DisplayName, &m.Kind, &m.MinimumAge, &m.MaximumAge, &m.Telephone, &m.Email,
		&state, &created, &updated, &revision)
	m.Name = ServiceName(agency, id)
	m.State = irtv1.AgencyState(state)
	m.CreateTime, m.UpdateTime = timestamppb.New(created), timestamppb.New(updated)
	m.Etag = rpc.Etag("service", agency, id, revision)
	return &m, err
}

func lockService(ctx context.Context, tx pgx.Tx, agency, id string) (*irtv1.Service, bool, error) {
	return one(ctx, tx, scanService,
		`SELECT `+serviceColumns+` FROM services WHERE agency_id = @agency_id AND service_id = @service_id FOR UPDATE`,
		pgx.NamedArgs{"agency_id": agency, "service_id": id})
}

// putService stores a service in the place of the one that was found, or where none
// was; it stores nothing where another was as fast.
func putService(ctx context.Context, tx pgx.Tx, agency, id string, m *irtv1.Service, found bool) (*irtv1.Service, bool, error) {
	sql := `INSERT INTO services (agency_id, service_id, display_name, kind, minimum_age, maximum_age, telephone, email,
			state, create_time, update_time)
		VALUES (@agency_id, @service_id, @display_name, @kind, @minimum_age, @maximum_age, @telephone, @email,
			@state, clock_timestamp(), clock_timestamp())
		ON CONFLICT (agency_id, service_id) DO NOTHING RETURNING ` + serviceColumns
	if found {
		sql = `UPDATE services SET display_name = @display_name, kind = @kind, minimum_age = @minimum_age, maximum_age = @maximum_age,
				telephone = @telephone, email = @email, state = @state, update_time = clock_timestamp(), revision = revision + 1
			WHERE agency_id = @agency_id AND service_id = @service_id RETURNING ` + serviceColumns
	}
	return one(ctx, tx, scanService, sql, pgx.NamedArgs{
		"agency_id": agency, "service_id": id, "display_name": m.GetDisplayName(), "kind": m.GetKind(),
		"minimum_age": m.GetMinimumAge(), "maximum_age": m.GetMaximumAge(), "telephone": m.GetTelephone(), "email": m.GetEmail(),
		"state": int16(m.GetState()), //nolint:gosec // defined values only
	})
}
