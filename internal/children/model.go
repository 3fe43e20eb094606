package children

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
)

// Matching goes by the built-in model, or by one that the hub was given, and in both by
// what was learnt of the index (learn.go). Each minute a hub notes by which in
// match_models, where a given one is kept under its version: so a version is one model
// for good, hubs that go by different ones are seen, and matching everything again
// needs no file to go by what the hubs go by.

// model is what matching goes by now. Who decides several things that belong together
// asks once.
func (s *Service) model() *match.Model { return cmp.Or(s.current.Load(), s.base) }

// UseModel has matching go by a given model, which is one for an index (see
// match.Model.CheckForIndex), in place of the built-in one. It is called before the
// first call is served.
func (s *Service) UseModel(given *match.Model) error {
	m, err := indexed(given, given.Version, 0, given.Parameters().Frequencies)
	if err == nil {
		s.base = given
		s.current.Store(m)
	}
	return err
}

// indexed is a model in an index of n children, where names are as common as that.
func indexed(base *match.Model, version string, n int, names match.Frequencies) (*match.Model, error) {
	p := base.Parameters()
	p.Version, p.Frequencies = version, names
	p.Expect(n)
	return match.New(p)
}

// modelQuery reads the newest frequencies that belong to a model.
const modelQuery = `SELECT frequencies_id, children, frequencies FROM match_frequencies WHERE model_version = $1 ORDER BY frequencies_id DESC LIMIT 1`

// loadModel is the service's model with the newest frequencies of the index.
func (s *Service) loadModel(ctx context.Context, db Querier) (*match.Model, error) {
	rows, err := db.Query(ctx, modelQuery, s.base.Version)
	if err != nil {
		return nil, fmt.Errorf("children: reading how common names are: %w", err)
	}
	var id int32
	var n int
	var stored []byte
	if _, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
		return struct{}{}, row.Scan(&id, &n, &stored)
	}); errors.Is(err, pgx.ErrNoRows) {
		return indexed(s.base, s.base.Version, 0, s.base.Parameters().Frequencies)
	}
	var names match.Frequencies
	if err == nil {
		err = json.Unmarshal(stored, &names)
	}
	if err != nil {
		return nil, fmt.Errorf("children: reading how common names are: %w", err)
	}
	return indexed(s.base, versionOf(s.base.Version, id), n, names)
}

// LoadModel takes the newest frequencies of the index into use.
func (s *Service) LoadModel(ctx context.Context) error {
	newest, err := s.newest(ctx)
	if err != nil || newest == s.model().Version {
		return err
	}
	m, err := s.loadModel(ctx, s.pool)
	if err == nil {
		s.current.Store(m)
	}
	return err
}

// newest is the version that the model should have, without reading all of it.
func (s *Service) newest(ctx context.Context) (string, error) {
	var id *int32
	if err := s.pool.QueryRow(ctx, `SELECT max(frequencies_id) FROM match_frequencies WHERE model_version = $1`, s.base.Version).Scan(&id); err != nil {
		return "", fmt.Errorf("children: asking how common names are: %w", err)
	}
	if id == nil {
		return s.base.Version, nil
	}
	return versionOf(s.base.Version, *id), nil
}

// counted tells whether names were counted for the model since it came into use.
func (s *Service) counted() bool { return s.model().Version != s.base.Version }

// versionOf names a model with a row of match_frequencies joined to it.
func versionOf(base string, id int32) string { return fmt.Sprintf("%s+index-%d", base, id) }

// inUseFor is how long after a hub last said by which model it goes it is taken to go by
// it still. It says so every followEvery.
const inUseFor = 150 * time.Second

// keepModel notes the service's model, in use from now or, with no hub, not; and returns
// the database's time. A version is one model's for good.
func (s *Service) keepModel(ctx context.Context, inUse bool) (now time.Time, err error) {
	stored, err := s.storedModel()
	if err != nil {
		return now, err
	}
	err = s.pool.QueryRow(ctx, `
		INSERT INTO match_models (model_version, model, create_time, use_time) VALUES ($1, $2, now(), CASE WHEN $3 THEN now() END)
		ON CONFLICT (model_version) DO UPDATE SET use_time = greatest(excluded.use_time, match_models.use_time)
			WHERE match_models.model IS NOT DISTINCT FROM excluded.model
		RETURNING now()`, s.base.Version, stored, inUse).Scan(&now)
	if errors.Is(err, pgx.ErrNoRows) {
		return now, s.versionTaken()
	}
	if err != nil {
		return now, fmt.Errorf("children: noting the model of matching: %w", err)
	}
	return now, nil
}

// checkVersion refuses a model by whose version the database knows another.
func (s *Service) checkVersion(ctx context.Context) error {
	stored, err := s.storedModel()
	if err != nil {
		return err
	}
	var taken bool
	if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM match_models WHERE model_version = $1 AND model IS DISTINCT FROM $2::jsonb)`,
		s.base.Version, stored).Scan(&taken); err != nil {
		return fmt.Errorf("children: looking for the model of matching: %w", err)
	}
	if taken {
		return s.versionTaken()
	}
	return nil
}

func (s *Service) versionTaken() error {
	return fmt.Errorf("the database knows another model by the version %q, and what that decided: "+
		"train this one again under a version of its own (irthub match train --model-version)", s.base.Version)
}

// storedModel is a given model as it is kept, nil for the built-in one.
func (s *Service) storedModel() ([]byte, error) {
	if s.base.Version == match.Default().Version {
		return nil, nil
	}
	var b bytes.Buffer
	err := s.base.Write(&b)
	return b.Bytes(), err
}

// useModel notes that the service goes by its model still, and returns the versions of
// those by which other hubs have gone within the last minutes, and since an instant.
func (s *Service) useModel(ctx context.Context, since time.Time) (others []string, err error) {
	if _, err := s.pool.Exec(ctx, `UPDATE match_models SET use_time = now() WHERE model_version = $1`, s.base.Version); err != nil {
		return nil, fmt.Errorf("children: noting the model of matching: %w", err)
	}
	rows, err := s.pool.Query(ctx, `SELECT model_version FROM match_models
		WHERE model_version <> $1 AND use_time > greatest(now() - $2::interval, $3) ORDER BY 1`, s.base.Version, inUseFor, since)
	if err == nil {
		others, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("children: asking by which models others match: %w", err)
	}
	return others, nil
}

// leaveModel notes that the service goes by its model no more. Another that does says so
// within a minute.
func (s *Service) leaveModel(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `UPDATE match_models SET use_time = least(use_time, now() - $2::interval) WHERE model_version = $1`, s.base.Version, inUseFor)
	if err != nil {
		return fmt.Errorf("children: noting the model of matching: %w", err)
	}
	return nil
}

// usedModel is the model by which the hubs on a database go or, where none runs, went last.
type usedModel struct {
	version string
	given   *match.Model // nil: the one built in
	running bool
}

// modelInUse finds it; its zero where no hub ever ran.
func modelInUse(ctx context.Context, db Querier) (u usedModel, err error) {
	rows, err := db.Query(ctx, `SELECT model_version, coalesce(model::text, ''), use_time > now() - $1::interval FROM match_models
		WHERE use_time IS NOT NULL ORDER BY use_time DESC LIMIT 2`, inUseFor)
	if err != nil {
		return u, fmt.Errorf("children: asking by which model hubs match: %w", err)
	}
	type row struct {
		Version, Model string
		Running        bool
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	switch {
	case err != nil:
		return u, fmt.Errorf("children: asking by which model hubs match: %w", err)
	case len(found) == 0:
		return u, nil
	case len(found) == 2 && found[1].Running:
		return u, fmt.Errorf("hubs on this database go by different models of matching, %q and %q, or did until three minutes ago: "+
			"give all of them the same --match-model, and try again then", found[0].Version, found[1].Version)
	}
	u.version, u.running = found[0].Version, found[0].Running
	if found[0].Model == "" {
		return u, nil
	}
	if u.given, err = match.Read(strings.NewReader(found[0].Model)); err != nil {
		return u, fmt.Errorf("the model %q, by which hubs on this database went last: %w", u.version, err)
	}
	return u, nil
}

// chooseModel takes the model into use by which everything is matched again. What is
// written is by that of the hubs that run: they would go on by it, and undo it record by
// record. Where names were never counted for it they are, as a hub does when it starts.
func (s *Service) chooseModel(ctx context.Context, o *RematchOptions) (err error) {
	var used usedModel
	if !o.DryRun || o.Model == nil {
		if used, err = modelInUse(ctx, s.pool); err != nil {
			return err
		}
	}
	if given := cmp.Or(o.Model, used.given); given != nil {
		if err := s.UseModel(given); err != nil {
			return err
		}
	}
	switch {
	case o.DryRun:
		err = s.checkVersion(ctx)
	case used.running && used.version != s.base.Version:
		err = fmt.Errorf("the hubs on this database go by the model %q, not %q: start them by this one first; --dry-run says what would change then",
			used.version, s.base.Version)
	default:
		_, err = s.keepModel(ctx, false)
	}
	if err == nil {
		err = s.LoadModel(ctx)
	}
	if err != nil || s.counted() {
		return err
	}
	if o.DryRun {
		return s.countOnly(ctx)
	}
	_, err = s.Learn(ctx)
	return err
}
