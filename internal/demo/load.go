// Package demo is a believable area: an authority with 60 schools and practices,
// social care, health, police, charities and sensitive services, 150
// practitioners, and children whom these know under names and addresses that do
// not quite agree. Everything in it is invented, and none of it reaches anybody:
// NHS numbers are of the range 999 for testing, telephone numbers of those that
// Ofcom keeps for drama, e-mail addresses under example.org, postcodes of an area
// that does not exist.
//
// It is the same area every time, so that documentation may speak of it; and it
// goes into a hub through the API, as anybody's records do.
package demo

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

// Children is how many there are if not told otherwise.
const Children = 2000

// seed makes the area what it is.
const seed = 20261123

// Options of a load.
type Options struct {
	// Children is how many; Children if zero. Fewer are the first of more.
	Children int
	// As gives the context in which an agency's own system calls. Only sensitive
	// services themselves may record that they are involved; where As is nil they
	// are left out, and counted in Summary.LeftOut.
	As func(ctx context.Context, agency string) (context.Context, error)
	// Progress hears how far it has come; nil for nobody. It is called by one
	// goroutine at a time.
	Progress func(done, total int)
}

// Summary is what is in the hub after a load, and how much of it was new.
type Summary struct {
	Agencies, Practitioners, Children, Records, Involvements, LeadProfessionals int

	Created, Unchanged int // of the records
	LeftOut            int // involvements of sensitive services
}

// Load sends the area to a hub, as a data manager: the calls on conn carry a
// token of that role. Loading it again changes nothing. What was sent before an
// error stays.
func Load(ctx context.Context, conn grpc.ClientConnInterface, o Options) (Summary, error) {
	if o.Children <= 0 {
		o.Children = Children
	}
	p := newPlan(o.Children)
	l := &loader{o: o, plan: p, conn: conn, latest: map[*child]string{}, leading: map[string]*irtv1.Involvement{}}
	l.summary.Children = o.Children
	for _, step := range []func(context.Context) error{l.agencies, l.practitioners, l.records, l.involvements, l.leads} {
		if err := step(ctx); err != nil {
			return l.summary, err
		}
	}
	return l.summary, nil
}

// plan is all there is to send.
type plan struct {
	area *area
	sent []*statement
}

func newPlan(children int) *plan {
	r := newRand(0)
	a := newArea(r)
	w := &writer{area: a}
	for _, c := range newChildren(r, a, children) {
		w.r = newRand(c.number + 1) // so that a child does not depend on those before
		w.write(c)
	}
	return &plan{a, w.sent}
}

// newRand is one of the area's sequences of choices.
func newRand(stream int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(stream))) //nolint:gosec // it must be the same every time
}

// total counts the steps of progress.
func (p *plan) total() (n int) {
	for _, a := range p.area.all {
		n += 1 + len(a.people)
	}
	for _, s := range p.sent {
		if n += len(s.involvements); s.record != nil {
			n++
		}
	}
	return n
}

type loader struct {
	o       Options
	plan    *plan
	conn    grpc.ClientConnInterface
	summary Summary

	steps, total int
	latest       map[*child]string             // the entry of the index that its last record went to
	leading      map[string]*irtv1.Involvement // by entry of the index, the one whose practitioner is to lead
}

func (l *loader) step() {
	if l.total == 0 {
		l.total = l.plan.total()
	}
	if l.steps++; l.o.Progress != nil {
		l.o.Progress(l.steps, l.total)
	}
}

// calls is how many calls are under way at once: enough to fill the hub's
// batches.
const calls = 64

// each makes one call for each of a list, many at once, and then takes their
// results one by one.
func each[In, Out any](ctx context.Context, list []In, call func(context.Context, In) (Out, error), take func(In, Out)) error {
	g, ctx := errgroup.WithContext(ctx)
	type result struct {
		in  In
		out Out
	}
	results := make(chan result, calls)
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for r := range results {
			take(r.in, r.out)
		}
	}()
	g.SetLimit(calls)
	for _, in := range list {
		g.Go(func() error {
			out, err := call(ctx, in)
			if err == nil {
				results <- result{in, out}
			}
			return err
		})
	}
	err := g.Wait()
	close(results)
	<-taken
	return err
}

func (l *loader) agencies(ctx context.Context) error {
	client := irtv1.NewAgencyServiceClient(l.conn)
	return each(ctx, l.plan.area.all, func(ctx context.Context, a *agency) (*irtv1.Agency, error) {
		out, err := client.UpdateAgency(ctx, &irtv1.UpdateAgencyRequest{Agency: a.message, AllowMissing: true})
		return out, doing(err, "registering the agency "+a.id)
	}, func(*agency, *irtv1.Agency) { l.summary.Agencies++; l.step() })
}

func (l *loader) practitioners(ctx context.Context) error {
	client := irtv1.NewAgencyServiceClient(l.conn)
	var all []*irtv1.Practitioner
	for _, a := range l.plan.area.all {
		all = append(all, a.people...)
	}
	return each(ctx, all, func(ctx context.Context, p *irtv1.Practitioner) (*irtv1.Practitioner, error) {
		out, err := client.UpdatePractitioner(ctx, &irtv1.UpdatePractitionerRequest{Practitioner: p, AllowMissing: true})
		return out, doing(err, "registering practitioners")
	}, func(*irtv1.Practitioner, *irtv1.Practitioner) { l.summary.Practitioners++; l.step() })
}

// records streams the records; answers come in order.
func (l *loader) records(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := irtv1.NewChildServiceClient(l.conn).SubmitChildRecords(ctx)
	if err != nil {
		return doing(err, "submitting records")
	}
	var sending errgroup.Group
	sending.Go(func() error {
		for _, s := range l.plan.sent {
			if s.record == nil {
				continue
			}
			if err := stream.Send(&irtv1.SubmitChildRecordsRequest{ChildRecord: s.record}); err != nil {
				return err // io.EOF: receiving says why
			}
		}
		return stream.CloseSend()
	})
	for _, s := range l.plan.sent {
		if s.record == nil {
			continue
		}
		answer, err := stream.Recv()
		if err == nil && answer.GetError() != nil {
			err = status.FromProto(answer.GetError()).Err()
		}
		if err != nil {
			cancel()
			_ = sending.Wait() // it fails because of this
			return doing(err, "submitting the record "+s.record.GetName())
		}
		l.recorded(s, answer.GetResult())
	}
	return doing(sending.Wait(), "submitting records")
}

func (l *loader) recorded(s *statement, answer *irtv1.SubmitChildRecordResponse) {
	l.summary.Records++
	if answer.GetOutcome() == irtv1.SubmitOutcome_SUBMIT_OUTCOME_UNCHANGED {
		l.summary.Unchanged++
	} else {
		l.summary.Created++
	}
	l.latest[s.child] = answer.GetChild()
	l.step()
}

// involvements come after all records, so that children have found themselves.
func (l *loader) involvements(ctx context.Context) error {
	client := irtv1.NewInvolvementServiceClient(l.conn)
	var all []*involvement
	for _, s := range l.plan.sent {
		if s.agency.message.GetSensitive() && l.o.As == nil {
			l.summary.LeftOut += len(s.involvements)
			continue
		}
		for _, i := range s.involvements {
			if s.record == nil {
				i.message.Child = l.latest[s.child]
			}
			all = append(all, i)
		}
	}
	return each(ctx, all, func(ctx context.Context, i *involvement) (*irtv1.Involvement, error) {
		if i.message.GetSensitive() {
			own, err := l.o.As(ctx, agencyOf(i.message))
			if err != nil {
				return nil, fmt.Errorf("demo: calling as a sensitive service: %w", err)
			}
			ctx = own
		}
		out, err := client.SubmitInvolvement(ctx, &irtv1.SubmitInvolvementRequest{Involvement: i.message})
		return out, doing(err, "submitting the involvement "+i.message.GetName())
	}, func(i *involvement, out *irtv1.Involvement) {
		l.summary.Involvements++
		if before := l.leading[out.GetChild()]; i.lead && (before == nil || out.GetName() < before.GetName()) {
			l.leading[out.GetChild()] = out
		}
		l.step()
	})
}

// agencyOf is the id of the agency that an involvement is of.
func agencyOf(i *irtv1.Involvement) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(i.GetName(), "agencies/"), "/")
	return id
}

func (l *loader) leads(ctx context.Context) error {
	client := irtv1.NewInvolvementServiceClient(l.conn)
	all := slices.Collect(maps.Values(l.leading))
	return each(ctx, all, func(ctx context.Context, i *irtv1.Involvement) (*irtv1.LeadProfessional, error) {
		out, err := client.SetLeadProfessional(ctx, &irtv1.SetLeadProfessionalRequest{
			Child: i.GetChild(), Involvement: i.GetName(), StartDate: i.GetStartDate(),
		})
		return out, doing(err, "naming lead professionals")
	}, func(*irtv1.Involvement, *irtv1.LeadProfessional) { l.summary.LeadProfessionals++ })
}

// doing keeps the hub's own status in the error, and says what was being done.
func doing(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("demo: %s: %w", what, err)
}
