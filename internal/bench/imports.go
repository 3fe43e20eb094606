package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
)

const (
	// importShare is the part of an index's size that a file has in rows, where no
	// number was asked for: an import into an index that is mostly there, as on most days.
	importShare = 5
	// importAtMost is as many rows as the hub takes in one file.
	importAtMost = 1_000_000
	importChunk  = 256 << 10
	importSchool = 0
	// importLook is how often it is asked how far an import has come.
	importLook = 2 * time.Second
)

// importCohort imports a school's file of new children through the hub, and then
// has the rows that this wrote copied (COPY, binary) into twins of the tables as
// they were before: what would be left if nothing had to be read, checked, matched
// or told. The file is written beforehand: making it takes no time of the import's.
func importCohort(ctx context.Context, l *lab) (_ []*Figure, err error) {
	rows := cmp.Or(l.o.ImportRows, max(len(l.children)/importShare, 20))
	file, err := l.scratch("cohort")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, discard(file)) }()
	if err := l.writeCohort(file, rows); err != nil {
		return nil, fmt.Errorf("writing the school's file: %w", err)
	}
	if err := l.inTx(ctx, makeTwins); err != nil {
		return nil, fmt.Errorf("preparing the tables to copy into: %w", err)
	}
	if err := l.vacuum(ctx, twins); err != nil {
		return nil, err
	}
	began, before := time.Now(), l.meter.read()
	if err := l.importCohortFile(ctx, file, rows); err != nil {
		return nil, err
	}
	product := l.loaded(rows, began, before)
	l.o.Progress("copying the same rows")
	reference, err := l.copySince(ctx, rows, began)
	if err != nil {
		return nil, fmt.Errorf("copying the rows: %w", err)
	}
	t := trial{id: "import_vs_copy", unit: rowsPerSecond, inProcess: true}
	vs := figure(t, 1, []side{{sum: product}, {sum: reference}}, []float64{ratio(t, product, reference)})
	alone := figure(trial{id: "import_rows_per_s", unit: rowsPerSecond}, 1, []side{{sum: product}}, nil)
	memory := &Figure{ID: "hub_mem_mib", Unit: mebibytes, Concurrency: 1, Operations: int64(rows)}
	memory.Absolute = peakMemory(l.hub.cmd.Process.Pid)
	memory.Value = memory.Absolute
	return []*Figure{vs, alone, memory}, nil
}

// loaded is a load of so many rows since began.
func (l *lab) loaded(rows int, began time.Time, before usage) *load {
	sum := newLoad()
	sum.counted, sum.done = int64(rows), int64(rows)
	sum.elapsed, sum.cpu = time.Since(began), l.meter.read().minus(before)
	return sum
}

// scratch makes a file to be discarded, on the disk that is measured: what has as
// many rows as an import may be larger than memory.
func (l *lab) scratch(of string) (*os.File, error) { return os.CreateTemp(l.dir, "bench-"+of+"-*") }

// discard closes and removes a file of scratch.
func discard(f *os.File) error { return errors.Join(f.Close(), os.Remove(f.Name())) }

var cohortHeader = []string{
	"CHILD_LOCAL_ID", "CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_SEX", "CHILD_NHS_NUMBER",
	"CHILD_UPN", "CHILD_ADDRESS_LINE_1", "CHILD_TOWN", "CHILD_POSTCODE",
}

// cohortRow is what a school's file has of a child.
func cohortRow(c *irtv1.ChildRecord) []string {
	localID := c.GetName()[strings.LastIndexByte(c.GetName(), '/')+1:]
	return []string{
		localID, c.GetGivenName(), c.GetFamilyName(), c.GetDateOfBirth(), c.GetSex(), c.GetNhsNumber(),
		c.GetUpn(), c.GetAddressLines()[0], c.GetAddressLines()[1], c.GetPostcode(),
	}
}

// writeCohort writes a file of children that the hub does not know, and leaves it at
// its beginning, to be read.
func (l *lab) writeCohort(file *os.File, rows int) error {
	w := csv.NewWriter(file)
	_ = w.Write(cohortHeader) // Error tells
	for range rows {
		_ = w.Write(cohortRow(l.people.next().records[0]))
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// importCohortFile has every row of a file taken in as new.
func (l *lab) importCohortFile(ctx context.Context, file io.Reader, rows int) error {
	done, err := l.importFile(ctx, 0, schoolID(importSchool), file, func(ctx context.Context, name string) { l.tellImport(ctx, name, rows) })
	if err == nil && int(done.GetAccepted()) != rows {
		err = fmt.Errorf("of %d rows %d were accepted and %d refused", rows, done.GetAccepted(), done.GetRejected())
	}
	return err
}

// importFile sends a school's file as the school's own system, and gives what came of
// it. Meanwhile follow is told the import's name, agencies/{agency}/imports/{import},
// and ends when its context does; nil for nobody.
func (l *lab) importFile(
	ctx context.Context, worker int, school string, file io.Reader, follow func(ctx context.Context, name string),
) (*irtv1.Import, error) {
	ctx, err := l.callers.as(ctx, school, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return nil, err
	}
	stream, err := irtv1.NewImportServiceClient(l.conn(worker)).CreateImport(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: &irtv1.ImportHeader{
		Parent: "agencies/" + school, Format: irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT,
	}}})
	if follow != nil {
		following, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		running.Go(func() {
			if md, err := stream.Header(); err == nil && len(md.Get(exchange.ImportKey)) > 0 {
				follow(following, md.Get(exchange.ImportKey)[0])
			}
		})
	}
	for buf := make([]byte, importChunk); err == nil; {
		var n int
		n, err = io.ReadFull(file, buf)
		if n > 0 { // of what came before the end too
			err = cmp.Or(stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: buf[:n]}}), err)
		}
	}
	// An end is the file's, or that of a stream that has failed: its answer says why.
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return stream.CloseAndRecv()
}

// tellImport tells of each tenth of an import's rows how fast it has come so far.
func (l *lab) tellImport(ctx context.Context, name string, rows int) {
	began, told := time.Now(), 0
	tick := time.NewTicker(importLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := irtv1.NewImportServiceClient(l.conn(1)).GetImport(ctx, &irtv1.GetImportRequest{Name: name})
		if err != nil {
			continue // the import itself says what is wrong
		}
		done := int(now.GetAccepted())
		if tenth := done * 10 / rows; tenth > told {
			told = tenth
			l.o.Progress(fmt.Sprintf("%d of %d rows, %.0f a second", done, rows, float64(done)/time.Since(began).Seconds()))
		}
	}
}

// since selects the rows of the tables that an import has written, in the order in
// which they load fastest.
var since = map[string]string{
	"children":      `WHERE create_time >= $1 ORDER BY child_id`,
	"child_records": `WHERE create_time >= $1 ORDER BY record_id`,
	"match_keys":    `WHERE record_id IN (SELECT record_id FROM child_records WHERE create_time >= $1) ORDER BY key, record_id`,
	"audit_entries": `WHERE entry_time >= $1 ORDER BY entry_id`,
}

// copySince copies the rows written since an instant into the twins, a transaction
// for all, and takes the time of that.
func (l *lab) copySince(ctx context.Context, rows int, began time.Time) (_ *load, err error) {
	copies := make([]*tableCopy, 0, len(written))
	defer func() {
		for _, c := range copies {
			err = errors.Join(err, discard(c.data))
		}
	}()
	var started time.Time
	var before usage
	err = l.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, unbounded := range []string{`SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`} {
			if _, err := tx.Exec(ctx, unbounded); err != nil {
				return err
			}
		}
		for _, table := range written {
			data, err := l.scratch(table)
			if err != nil {
				return err
			}
			c := &tableCopy{data: data}
			copies = append(copies, c)
			if err := c.read(ctx, tx, table, began); err != nil {
				return fmt.Errorf("reading %s: %w", table, err)
			}
		}
		started, before = time.Now(), l.meter.read()
		for _, c := range copies {
			if _, err := tx.Conn().PgConn().CopyFrom(ctx, c.data, c.into); err != nil {
				return fmt.Errorf("writing %s: %w", c.into, err)
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO `+twins+`.event_outbox (event_id, kind, child_id, agency_id, audience, event_time)
			SELECT gen_random_uuid(), 1, child_id, 'school-1', 1, create_time FROM `+twins+`.children WHERE create_time >= $1`, began)
		return err
	})
	return l.loaded(rows, started, before), err // its commit is part of it
}

// tableCopy is rows of a table, as COPY writes them, and the statement that takes
// them into its twin.
type tableCopy struct {
	data *os.File
	into string
}

// read reads the rows of a table that were written since an instant.
func (c *tableCopy) read(ctx context.Context, tx pgx.Tx, table string, began time.Time) error {
	columns, err := columnsOf(ctx, tx, table)
	if err != nil {
		return err
	}
	list := strings.Join(columns, ", ")
	c.into = `COPY ` + twins + `.` + table + ` (` + list + `) FROM STDIN (FORMAT binary)`
	// COPY takes no parameters; the instant is this program's own.
	where := strings.ReplaceAll(since[table], "$1", "'"+began.UTC().Format(time.RFC3339Nano)+"'")
	to := bufio.NewWriterSize(c.data, importChunk)
	if _, err := tx.Conn().PgConn().CopyTo(ctx, to, `COPY (SELECT `+list+` FROM `+table+` `+where+`) TO STDOUT (FORMAT binary)`); err != nil {
		return err
	}
	if err := to.Flush(); err != nil {
		return err
	}
	_, err = c.data.Seek(0, io.SeekStart)
	return err
}
