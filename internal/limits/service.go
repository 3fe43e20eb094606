package limits

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Service is irt.v1.LimitService.
type Service struct {
	irtv1.UnimplementedLimitServiceServer

	limiter   *Limiter
	directory *agencies.Directory
}

// NewService makes the service of a limiter, which hears of its changes at once.
func NewService(l *Limiter, directory *agencies.Directory) *Service {
	return &Service{limiter: l, directory: directory}
}

// ListAccessLimits implements irtv1.LimitServiceServer.
func (s *Service) ListAccessLimits(ctx context.Context, _ *irtv1.ListAccessLimitsRequest) (*irtv1.ListAccessLimitsResponse, error) {
	all, err := storedLimits(ctx, s.limiter.pool)
	if err != nil {
		return nil, err
	}
	set := map[string]stored{}
	for _, l := range all {
		set[limitName(l.Agency, l.Role)] = l
	}
	out := &irtv1.ListAccessLimitsResponse{}
	for _, text := range identity.RoleTexts() {
		role, _ := identity.ParseRole(text)
		if l, ok := set[limitName("", text)]; ok {
			out.AccessLimits = append(out.AccessLimits, message(l))
			continue
		}
		builtIn := s.limiter.builtIn[role]
		out.AccessLimits = append(out.AccessLimits, &irtv1.AccessLimit{
			Name: limitName("", text), ChildrenPerHour: builtIn.Children, SearchesPerHour: builtIn.Searches, BuiltIn: true,
		})
	}
	for _, l := range all {
		if l.Agency != "" {
			out.AccessLimits = append(out.AccessLimits, message(l))
		}
	}
	return out, nil
}

func message(s stored) *irtv1.AccessLimit {
	return &irtv1.AccessLimit{
		Name: limitName(s.Agency, s.Role), ChildrenPerHour: s.Children, SearchesPerHour: s.Searches, UpdateTime: timestamppb.New(s.Time),
	}
}

func limitName(agency, role string) string {
	name := "accessLimits/" + role
	if agency != "" {
		name = agencies.Name(agency) + "/" + name
	}
	return name
}

// parseName reads what limitName writes.
func (s *Service) parseName(ctx context.Context, name string) (l stored, err error) {
	owner, role, ok := strings.Cut(name, "accessLimits/")
	if _, known := identity.ParseRole(role); !ok || !known {
		return l, rpc.NotFound("access limit: there is one for each role")
	}
	l.Role = role
	if owner == "" {
		return l, nil
	}
	if l.Agency, ok = agencies.ParseName(strings.TrimSuffix(owner, "/")); !ok {
		return l, rpc.NotFound("agency")
	}
	if _, found, err := s.directory.Find(ctx, l.Agency); err != nil || !found {
		if err == nil {
			err = rpc.NotFound("agency")
		}
		return l, err
	}
	return l, nil
}

// UpdateAccessLimit implements irtv1.LimitServiceServer.
func (s *Service) UpdateAccessLimit(ctx context.Context, req *irtv1.UpdateAccessLimitRequest) (*irtv1.AccessLimit, error) {
	given := req.GetAccessLimit()
	wanted, err := s.parseName(ctx, given.GetName())
	if err != nil {
		return nil, err
	}
	if faults, _ := standard.Check(given, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(rpc.Prefix("access_limit", faults))
	}
	wanted.Children, wanted.Searches = given.GetChildrenPerHour(), given.GetSearchesPerHour()
	var out stored
	err = s.write(ctx, given.GetName(), func(tx pgx.Tx) (err error) {
		out, err = putLimit(ctx, tx, wanted)
		return err
	})
	if err != nil {
		return nil, err
	}
	return message(out), nil
}

// DeleteAccessLimit implements irtv1.LimitServiceServer.
func (s *Service) DeleteAccessLimit(ctx context.Context, req *irtv1.DeleteAccessLimitRequest) (*emptypb.Empty, error) {
	wanted, err := s.parseName(ctx, req.GetName())
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, req.GetName(), func(tx pgx.Tx) error {
		found, err := removeLimit(ctx, tx, wanted)
		if err == nil && !found {
			err = rpc.NotFound("access limit that was set")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// write runs fn in a transaction that also records the access, and takes in what has
// changed.
func (s *Service) write(ctx context.Context, name string, fn func(pgx.Tx) error) error {
	e := audit.FromContext(ctx)
	e.AddReturned(name)
	err := pg.InTxRetry(ctx, s.limiter.pool, func(tx pgx.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return audit.Insert(ctx, tx, []*audit.Entry{e})
	})
	if err != nil {
		return err
	}
	e.Recorded()
	set, err := loadLimits(ctx, s.limiter.pool)
	if err != nil {
		return err
	}
	s.limiter.set.Store(&set)
	return nil
}
