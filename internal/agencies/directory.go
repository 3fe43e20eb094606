package agencies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	irtv1 "irthub/gen/irt/v1"
)

const (
	// pollEvery bounds how long a change made by another process goes unseen.
	pollEvery = time.Second
	// pollOverlap is how far each poll looks back: an update_time is set before
	// its transaction commits, so a later one may be seen before it.
	pollOverlap = 15 * time.Second
	// reloadEvery catches what even the overlap missed: a commit that took
	// longer, a database whose clock was set back.
	reloadEvery = time.Minute
)

// Agency is what the hub asks about an agency on every call: who it is, how it
// is reached, whether its callers are let in.
type Agency struct {
	ID                  string
	DisplayName         string
	Kind                irtv1.AgencyKind
	Sensitive           bool
	Active              bool
	URN                 string
	ODSCode             string
	Telephone           string
	OutOfHoursTelephone string
	Email               string
	OfficeHours         []*irtv1.OfficeHours // never changed

	certificates []string
	revision     int32
}

func factsOf(r agencyRow) *Agency {
	m := r.message
	return &Agency{
		ID: r.id, DisplayName: m.GetDisplayName(), Kind: m.GetKind(), Sensitive: m.GetSensitive(),
		Active: m.GetState() == irtv1.AgencyState_AGENCY_STATE_ACTIVE,
		URN:    m.GetUrn(), ODSCode: m.GetOdsCode(), Telephone: m.GetTelephone(),
		OutOfHoursTelephone: m.GetOutOfHoursTelephone(), Email: m.GetEmail(), OfficeHours: m.GetOfficeHours(), certificates: m.GetCertificateNames(), revision: r.revision,
	}
}

// Directory holds every agency in memory, and which practitioners have left,
// because both are asked about on every call. It is never more than about two seconds behind other processes,
// and not at all behind writes through this one's Service. Reading takes no
// lock. All its methods may be called by many goroutines at once.
type Directory struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	present atomic.Pointer[snapshot]
	left    atomic.Pointer[map[practitionerID]bool]
	writing sync.Mutex // held while one snapshot is made from another
	misses  singleflight.Group

	stop    context.CancelFunc
	stopped chan struct{}
}

// snapshot is never changed once it is published.
type snapshot struct {
	byID      map[string]*Agency
	byURN     map[string]*Agency
	byODSCode map[string]*Agency
	sensitive []string // ids, sorted

	byCertificate map[string]*Agency
}

// NewDirectory loads the directory and follows its changes until Close.
func NewDirectory(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (*Directory, error) {
	d := &Directory{pool: pool, log: log, stopped: make(chan struct{})}
	d.present.Store(&snapshot{})
	d.left.Store(&map[practitionerID]bool{})
	asked, err := d.load(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go d.follow(following, asked)
	return d, nil
}

// Close stops following changes; reading goes on with what is known.
func (d *Directory) Close() {
	d.stop()
	<-d.stopped
}

// Get returns the agency with an id, as far as this process knows: see Find.
func (d *Directory) Get(id string) (Agency, bool) { return lookUp(d.present.Load().byID, id) }

// ByURN returns the school with a unique reference number. Of several, which the
// directory does not forbid, it is an active one, and then the first by id.
func (d *Directory) ByURN(urn string) (Agency, bool) { return lookUp(d.present.Load().byURN, urn) }

// ByODSCode returns the agency with a code of the NHS Organisation Data Service;
// of several as ByURN.
func (d *Directory) ByODSCode(code string) (Agency, bool) {
	return lookUp(d.present.Load().byODSCode, code)
}

// Sensitive returns the ids of the agencies that are sensitive services, sorted.
// The caller must not change the slice.
func (d *Directory) Sensitive() []string { return d.present.Load().sensitive }

// Has reports whether an agency of a kind is registered.
func (d *Directory) Has(kind irtv1.AgencyKind) bool {
	for _, a := range d.present.Load().byID {
		if a.Kind == kind {
			return true
		}
	}
	return false
}

func lookUp(index map[string]*Agency, key string) (Agency, bool) {
	a, ok := index[key]
	if !ok {
		return Agency{}, false
	}
	return *a, true
}

// Find is Get that asks the database about an agency this process does not know,
// which may just have been registered through another.
func (d *Directory) Find(ctx context.Context, id string) (Agency, bool, error) {
	if a, ok := d.Get(id); ok || !validID(id) {
		return a, ok, nil
	}
	select {
	case res := <-d.misses.DoChan(id, func() (any, error) { return nil, d.readThrough(id) }):
		if res.Err != nil {
			return Agency{}, false, res.Err
		}
	case <-ctx.Done():
		return Agency{}, false, ctx.Err()
	}
	a, ok := d.Get(id)
	return a, ok, nil
}

// readThrough serves all who ask at the moment, so it has no one caller's context.
func (d *Directory) readThrough(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	row, found, err := getAgency(ctx, d.pool, id)
	if err != nil || !found {
		return err
	}
	d.apply([]agencyRow{row})
	return nil
}

// Facts says what an agency is and whether its callers are let in. An agency
// that is not registered is not active, which is no error.
func (d *Directory) Facts(ctx context.Context, id string) (kind irtv1.AgencyKind, sensitive, active bool, err error) {
	a, _, err := d.Find(ctx, id)
	return a.Kind, a.Sensitive, a.Active, err
}

// Refresh takes in what has changed by now, for a caller that has just written
// agencies by UpsertAgencies and goes on to use them.
func (d *Directory) Refresh(ctx context.Context) error {
	_, err := d.load(ctx, time.Time{})
	return err
}

func (d *Directory) follow(ctx context.Context, asked time.Time) {
	defer close(d.stopped)
	poll, reload := time.NewTicker(pollEvery), time.NewTicker(reloadEvery)
	defer poll.Stop()
	defer reload.Stop()
	for {
		since := time.Time{}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			since = asked.Add(-pollOverlap)
		case <-reload.C:
		}
		now, err := d.load(ctx, since)
		switch {
		case err == nil:
			asked = now
		case !errors.Is(err, context.Canceled):
			d.log.WarnContext(ctx, "cannot follow the directory of agencies; trying again", "error", err)
		}
	}
}

// load takes in the agencies and practitioners that changed since an instant, and
// returns the database's time from just before it looked.
func (d *Directory) load(ctx context.Context, since time.Time) (asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := d.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&asked); err != nil {
		return asked, fmt.Errorf("agencies: asking the database's time: %w", err)
	}
	rows, err := changedAgencies(ctx, d.pool, since)
	if err != nil {
		return asked, err
	}
	d.apply(rows)
	return asked, d.loadLeft(ctx, since)
}

// apply publishes a snapshot with the rows in it that are newer than what is
// known: a poll may come after a write through this process and show less.
func (d *Directory) apply(rows []agencyRow) {
	d.writing.Lock()
	defer d.writing.Unlock()
	known := d.present.Load().byID
	var byID map[string]*Agency
	for _, r := range rows {
		if old, ok := known[r.id]; ok && old.revision >= r.revision {
			continue
		}
		if byID == nil {
			byID = make(map[string]*Agency, len(known)+len(rows))
			maps.Copy(byID, known)
		}
		byID[r.id] = factsOf(r)
	}
	if byID != nil {
		d.present.Store(index(byID))
	}
}

func index(byID map[string]*Agency) *snapshot {
	s := &snapshot{
		byID: byID, byURN: map[string]*Agency{}, byODSCode: map[string]*Agency{}, byCertificate: map[string]*Agency{},
	}
	for id, a := range byID {
		prefer(s.byURN, a.URN, a)
		prefer(s.byODSCode, a.ODSCode, a)
		for _, name := range a.certificates {
			s.byCertificate[name] = a
		}
		if a.Sensitive {
			s.sensitive = append(s.sensitive, id)
		}
	}
	slices.Sort(s.sensitive)
	return s
}

// prefer puts a under key unless one that comes before it is there.
func prefer(index map[string]*Agency, key string, a *Agency) {
	if key == "" {
		return
	}
	other, taken := index[key]
	if !taken || a.Active && !other.Active || a.Active == other.Active && a.ID < other.ID {
		index[key] = a
	}
}
