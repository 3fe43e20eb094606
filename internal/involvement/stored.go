package involvement

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// listStored answers any question by queries of its own: about other days, about
// what was known at an instant, and page by page.
func (s *Service) listStored(ctx context.Context, q *question) (*page, error) {
	child, err := s.answering(ctx, q)
	if err != nil {
		return nil, err
	}
	present, err := children.Survivor(ctx, s.pool, child)
	if err != nil {
		return nil, err
	}
	// What is shown of the past is decided by what is so now.
	standings, err := children.Standings(ctx, s.pool, q.asker, present)
	if err != nil {
		return nil, err
	}
	p := &page{child: child, standing: standings[present]}
	if p.standing == nil {
		return nil, rpc.NotFound("child")
	}
	if err := s.mayAsk(ctx, q, p); err != nil {
		return nil, err
	}
	rows, err := s.pageOf(ctx, q, p)
	if err != nil {
		return nil, err
	}
	if len(rows) > q.size {
		rows, p.more = rows[:q.size], true
	}
	for _, v := range rows {
		visible, err := s.visible(ctx, q.asker, p.standing, &v.version)
		if err != nil {
			return nil, err
		}
		if visible { // the query leaves them out already, unless the directory has changed since
			p.rows = append(p.rows, v)
		}
	}
	p.more = p.more && len(p.rows) > 0
	p.hidden, err = s.anythingHidden(ctx, q, p)
	return p, err
}

// answering is the child that answers a question: what the one asked about has
// become or, for a question about what was known at an instant, had become then.
// If the hub had not heard of the child then, nothing was known of it.
func (s *Service) answering(ctx context.Context, q *question) (uuid.UUID, error) {
	survivor, err := children.Survivor(ctx, s.pool, q.child)
	if err != nil || q.knownAt.IsZero() {
		return survivor, err
	}
	return children.SurvivorAt(ctx, s.pool, q.child, q.knownAt)
}

// notHidden is the decision on sensitive involvements in SQL, so that pages are
// counted by what the caller sees: those of the services @shown, those recorded on
// reasonable cause where that is enough (@cause), or all. What is found to be
// sensitive now is hidden in every earlier version too.
const notHidden = `(@all_sensitive OR i.agency_id = ANY(@shown::text[]) OR @cause AND i.sensitive_basis = '` + standard.SignificantHarm + `'
	OR NOT (i.sensitive OR i.agency_id = ANY(@sensitive::text[])
		OR EXISTS (SELECT 1 FROM involvements n WHERE n.involvement_id = i.involvement_id AND n.sensitive)))`

// pageSQL lists the versions that source selects; leads selects the periods.
func pageSQL(source, leads string) string {
	return `
	WITH i AS (` + source + `), l AS (` + leads + `)
	SELECT ` + qualify(columns, "i") + `, ` + qualify(contactColumns, "p") + `,
		EXISTS (SELECT 1 FROM l WHERE l.involvement_id = i.involvement_id
			AND l.start_date <= @day AND (l.end_date IS NULL OR l.end_date >= @day))
	FROM i
	LEFT JOIN LATERAL (
		SELECT ` + contactColumns + ` FROM practitioners
		WHERE agency_id = i.agency_id AND practitioner_id = i.practitioner_id OFFSET 0) p ON true
	WHERE (@ended OR i.start_date <= @day AND (i.end_date IS NULL OR i.end_date >= @day))
		AND (i.start_date, i.involvement_id) > (@after_start, @after_id)
		AND (@involvements OR i.agency_id = @own) AND ` + notHidden + `
	ORDER BY i.start_date, i.involvement_id LIMIT @limit`
}

var (
	pageNowSQL = pageSQL(
		`SELECT `+columns+` FROM involvements WHERE child_id = @child`,
		`SELECT `+leadColumns+` FROM lead_professionals WHERE child_id = @child`)
	pageThenSQL = pageSQL(
		children.VersionsAt("involvements", columns, "@child", "@known_at"),
		children.VersionsAt("lead_professionals", leadColumns, "@child", "@known_at"))
)

func (s *Service) pageOf(ctx context.Context, q *question, p *page) ([]*shown, error) {
	sql, after := pageNowSQL, q.after
	args := s.hiddenArguments(q, p)
	args["child"], args["day"], args["ended"], args["limit"] = [16]byte(p.child), pg.Date(q.day), q.ended, q.size+1
	if !q.knownAt.IsZero() {
		sql, args["known_at"] = pageThenSQL, q.knownAt
	}
	if after == nil {
		after = &position{start: beforeAll}
	}
	args["after_start"], args["after_id"] = pg.Date(after.start), [16]byte(after.id)
	rows, err := s.pool.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("involvement: listing a page: %w", err)
	}
	page, err := pgx.CollectRows(rows, scanShown)
	if err != nil {
		return nil, fmt.Errorf("involvement: reading a page: %w", err)
	}
	return page, nil
}

// hiddenArguments are what decides which involvements the caller is shown.
func (s *Service) hiddenArguments(q *question, p *page) pgx.NamedArgs {
	shows := func(service string, cause bool) bool {
		d := sharing.Decide(sharing.See, p.standing.Sensitive(q.asker, service, cause))
		return d.Shows(sensitiveCategory) && d.Shows(involvementCategory)
	}
	shown := []string{}
	for _, service := range append(p.standing.ConsentingServices(), q.asker.Agency) {
		if shows(service, false) {
			shown = append(shown, service)
		}
	}
	sensitive := s.directory.Sensitive()
	if sensitive == nil {
		sensitive = []string{} // nothing is = ANY(NULL), nor is it not
	}
	return pgx.NamedArgs{
		"own": q.asker.Agency, "sensitive": sensitive, "shown": shown,
		"all_sensitive": shows("", false), "cause": shows("", true),
		"involvements": sharing.Decide(sharing.See, p.standing.Facts(q.asker)).Shows(involvementCategory),
	}
}

// beforeAll is before any day of the standard.
var beforeAll = time.Date(1800, time.January, 1, 0, 0, 0, 0, time.UTC)

var (
	hiddenTodaySQL = `SELECT EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = ANY(@children::uuid[])
		AND i.start_date <= @day AND (i.end_date IS NULL OR i.end_date >= @day) AND NOT ` + notHidden + `)`
	hiddenEverSQL = `SELECT EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = ANY(@children::uuid[]) AND NOT ` + notHidden + `)
		OR @past AND EXISTS (SELECT 1 FROM involvements_history i WHERE i.child_id = ANY(@children::uuid[]) AND NOT ` + notHidden + `)`
)

// anythingHidden tells whether the answer must say that a sensitive service is
// involved. About today that is one in force today. About other times it is one
// at any time: were it said for the day or instant asked about alone, asking
// about one after another would tell when the service began and ended.
func (s *Service) anythingHidden(ctx context.Context, q *question, p *page) (hidden bool, err error) {
	sql, args := hiddenTodaySQL, s.hiddenArguments(q, p)
	asked := [][16]byte{p.child}
	if q.today {
		args["day"] = pg.Date(q.day)
	} else {
		sql, args["past"] = hiddenEverSQL, !q.knownAt.IsZero()
		now, err := children.Survivor(ctx, s.pool, q.child)
		if err != nil {
			return false, err
		}
		asked = append(asked, now)
	}
	args["children"] = asked
	if err := s.pool.QueryRow(ctx, sql, args).Scan(&hidden); err != nil {
		return false, fmt.Errorf("involvement: looking for sensitive involvements: %w", err)
	}
	return hidden, nil
}
