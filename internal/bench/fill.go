package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg"
)

// lanes is how many streams fill the index. Each has up to 512 records in the
// write pipeline, which is thereby kept in full batches.
const lanes = 4

// fill brings the index to a size, through the hub.
func (l *lab) fill(ctx context.Context, size int) (*Size, error) {
	at := &Size{Children: size}
	missing := size - l.people.taken()
	l.o.Progress(fmt.Sprintf("%d children: filling the index", size))
	started := time.Now()
	records, err := l.submitPeople(ctx, max(missing, 0))
	if err != nil {
		return nil, err
	}
	if took := time.Since(started); records > 0 {
		at.FillSeconds, at.FillRecordsPerSecond = took.Seconds(), float64(records)/took.Seconds()
	}
	if err := l.involve(ctx, size); err != nil {
		return nil, fmt.Errorf("involvements: %w", err)
	}
	if err := l.tell(ctx, size); err != nil {
		return nil, fmt.Errorf("what timelines tell: %w", err)
	}
	if err := l.vacuum(ctx, "public"); err != nil {
		return nil, err
	}
	if err := l.choose(ctx); err != nil {
		return nil, err
	}
	l.raw = nil // it stands for the size before
	at.Rows, err = l.count(ctx)
	return at, err
}

// submitPeople submits the records of so many people over a few streams.
func (l *lab) submitPeople(ctx context.Context, n int) (records int64, err error) {
	sent := make([]int64, lanes)
	running, ctx := errgroup.WithContext(ctx)
	for lane := range lanes {
		running.Go(func() (err error) {
			share := n / lanes
			if lane < n%lanes {
				share++
			}
			left := share
			sent[lane], err = l.submitLane(ctx, lane, func() bool { left--; return left >= 0 })
			return err
		})
	}
	err = running.Wait()
	for _, s := range sent {
		records += s
	}
	return records, err
}

// submitLane submits people over one stream, for as long as there are to be more. All
// records of a person go the same way, so that the index is the same in every run.
func (l *lab) submitLane(ctx context.Context, lane int, more func() bool) (sent int64, err error) {
	ctx, err = l.callers.as(ctx, dataManager, irtv1.Role_ROLE_DATA_MANAGER)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := irtv1.NewChildServiceClient(l.conn(lane)).SubmitChildRecords(ctx)
	if err != nil {
		return 0, err
	}
	running, _ := errgroup.WithContext(ctx)
	running.Go(func() error {
		sent = l.sendPeople(stream, more)
		return stream.CloseSend()
	})
	running.Go(func() error {
		defer cancel()
		return receive(stream.Recv)
	})
	return sent, running.Wait()
}

// sendPeople stops when the stream has failed: receive is told why.
func (l *lab) sendPeople(stream irtv1.ChildService_SubmitChildRecordsClient, more func() bool) (sent int64) {
	for more() {
		for _, r := range l.people.next().records {
			if stream.Send(&irtv1.SubmitChildRecordsRequest{ChildRecord: r}) != nil {
				return sent
			}
			sent++
		}
	}
	return sent
}

// receive reads the answers of a stream of submissions until it ends, or one of them
// is a refusal.
func receive[A interface{ GetError() *statuspb.Status }](next func() (A, error)) error {
	for {
		answer, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if refused := answer.GetError(); refused != nil {
			return fmt.Errorf("a record was refused: %w", status.FromProto(refused).Err())
		}
	}
}

// involve gives one child in fifty ten involvements and a lead professional,
// through the hub; and one in three of the others one or two, by copies of the rows
// that the hub wrote, since one call each would take longer than all the rest.
func (l *lab) involve(ctx context.Context, size int) error {
	want := min(max(size/50, 50), 5000)
	busy, err := l.subjects(ctx, busyQuery, len(involved))
	if err != nil {
		return err
	}
	fresh, err := l.subjects(ctx, `SELECT child_id FROM children c WHERE state = 1
		AND NOT EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = c.child_id)
		ORDER BY md5(child_id::text) LIMIT $1`, max(want-len(busy), 0))
	if err != nil {
		return err
	}
	running, within := errgroup.WithContext(ctx)
	running.SetLimit(128)
	for _, child := range fresh {
		running.Go(func() error { return l.involveAll(within, child) })
	}
	if err := running.Wait(); err != nil {
		return err
	}
	return l.spread(ctx)
}

const busyQuery = `SELECT child_id FROM involvements GROUP BY child_id HAVING count(*) = $1 ORDER BY child_id`

func (l *lab) involveAll(ctx context.Context, child subject) error {
	client := irtv1.NewInvolvementServiceClient(l.conn(int(child.id[15])))
	short := strings.TrimPrefix(child.name, "children/")
	for n, i := range involved {
		asAgency, err := l.callers.as(ctx, i.agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return err
		}
		_, err = client.SubmitInvolvement(asAgency, &irtv1.SubmitInvolvementRequest{Involvement: &irtv1.Involvement{
			Name: "agencies/" + i.agency + "/involvements/i-" + short, Child: child.name, Role: i.role,
			Practitioner: "agencies/" + i.agency + "/practitioners/" + practitionerID(int(child.id[14])%practitionersEach),
			StartDate:    l.people.today.AddDate(0, -n-1, 0).Format(time.DateOnly),
		}})
		if err != nil {
			return err
		}
	}
	asManager, err := l.callers.as(ctx, dataManager, irtv1.Role_ROLE_DATA_MANAGER)
	if err != nil {
		return err
	}
	_, err = client.SetLeadProfessional(asManager, &irtv1.SetLeadProfessionalRequest{
		Child: child.name, Involvement: "agencies/social-care/involvements/i-" + short,
	})
	return err
}

// spread copies one child's involvements, one or two each, to every third child, by
// its id, that has none: however often it is called.
func (l *lab) spread(ctx context.Context) error {
	return pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		columns, err := columnsOf(ctx, tx, "involvements")
		if err != nil {
			return err
		}
		values := make([]string, len(columns))
		for i, c := range columns {
			switch c {
			case "child_id":
				values[i] = "c.child_id"
			case "involvement_id":
				values[i] = "gen_random_uuid()"
			case "local_id":
				values[i] = "'s-' || c.child_id"
			default:
				values[i] = "t." + c
			}
		}
		_, err = tx.Exec(ctx, `INSERT INTO involvements (`+strings.Join(columns, ", ")+`)
			SELECT `+strings.Join(values, ", ")+`
			FROM (SELECT child_id, ('x' || right(child_id::text, 4))::bit(16)::int AS n FROM children c WHERE state = 1
				AND NOT EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = c.child_id)) c
			JOIN (SELECT `+strings.Join(columns, ", ")+`, row_number() OVER () AS n FROM involvements
				WHERE child_id = (`+busyQuery+` LIMIT 1)) t
			ON t.n BETWEEN 1 + c.n / 3 % 9 AND 1 + c.n / 3 % 9 + c.n / 3 % 2
			WHERE c.n % 3 = 0`, len(involved))
		return err
	})
}

// vacuum has PostgreSQL do at once, for all tables of a schema that has just been
// filled, what it would otherwise do by itself while something is measured.
func (l *lab) vacuum(ctx context.Context, schema string) error {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SET statement_timeout = 0`); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = $1`, schema)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `VACUUM (ANALYZE) `+strings.Join(tables, ", ")); err != nil {
		return err
	}
	if _, err = conn.Exec(ctx, `RESET statement_timeout`); err != nil {
		return err
	}
	return l.checkpoint(ctx)
}

// checkpoint writes out what filling has left in memory: whoever needs the place would
// have to write it first. It takes the cluster's own user.
func (l *lab) checkpoint(ctx context.Context) error {
	config := l.pool.Config().ConnConfig.Copy()
	config.User = "postgres"
	config.RuntimeParams["statement_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `CHECKPOINT`)
	return errors.Join(err, conn.Close(ctx))
}

// choose notes which children there are to ask about.
func (l *lab) choose(ctx context.Context) (err error) {
	if l.children, err = l.subjects(ctx, `SELECT child_id FROM children WHERE state = 1 ORDER BY child_id`); err != nil {
		return err
	}
	if l.busy, err = l.subjects(ctx, busyQuery, len(involved)); err != nil {
		return err
	}
	if l.told, err = l.findTold(ctx, len(involved)+toldInvolvements, toldAtMost); err != nil {
		return err
	}
	if len(l.children) == 0 || len(l.busy) == 0 || len(l.told) == 0 {
		return status.Error(codes.Internal, "the index is empty after it was filled")
	}
	return nil
}

// counted are the tables whose rows a report gives.
var counted = []string{"children", "child_records", "match_keys", "match_reviews", "involvements", "audit_entries"}

func (l *lab) count(ctx context.Context) (map[string]int64, error) {
	rows := make(map[string]int64, len(counted))
	for _, table := range counted {
		var n int64
		if err := l.pool.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
			return nil, err
		}
		rows[table] = n
	}
	return rows, nil
}

// columnsOf are the names of a table's columns, in order.
func columnsOf(ctx context.Context, tx pgx.Tx, table string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT column_name::text FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position`, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
