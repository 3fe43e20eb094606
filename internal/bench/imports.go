package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

const (
	// importShare is the part of an index's size that a file has in rows: an import
	// into an index that is mostly there, as on most days.
	importShare  = 5
	importChunk  = 256 << 10
	importSchool = 0
)

// importCohort imports a school's file of new children through the hub, and then
// has the rows that this wrote copied (COPY, binary) into twins of the tables as
// they were before: what would be left if nothing had to be read, checked, matched
// or told.
func importCohort(ctx context.Context, l *lab) ([]*Figure, error) {
	rows := max(len(l.children)/importShare, 20)
	file, err := l.cohortFile(rows)
	if err != nil {
		return nil, err
	}
	if err := l.inTx(ctx, makeTwins); err != nil {
		return nil, fmt.Errorf("preparing the tables to copy into: %w", err)
	}
	if err := l.vacuum(ctx, twins); err != nil {
		return nil, err
	}
	began, before := time.Now(), l.meter.read()
	if err := l.importFile(ctx, file, rows); err != nil {
		return nil, err
	}
	product := l.loaded(rows, began, before)
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

var cohortHeader = []string{
	"CHILD_LOCAL_ID", "CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_SEX", "CHILD_NHS_NUMBER",
	"CHILD_UPN", "CHILD_ADDRESS_LINE_1", "CHILD_TOWN", "CHILD_POSTCODE",
}

// cohortFile is a file of children that the hub does not know.
func (l *lab) cohortFile(rows int) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(cohortHeader) // Error tells
	for range rows {
		c := l.people.next().records[0]
		localID := c.GetName()[strings.LastIndexByte(c.GetName(), '/')+1:]
		_ = w.Write([]string{
			localID, c.GetGivenName(), c.GetFamilyName(), c.GetDateOfBirth(), c.GetSex(), c.GetNhsNumber(),
			c.GetUpn(), c.GetAddressLines()[0], c.GetAddressLines()[1], c.GetPostcode(),
		})
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// importFile sends a file as the school's own system, and has every row accepted.
func (l *lab) importFile(ctx context.Context, file []byte, rows int) error {
	school := schoolID(importSchool)
	ctx, err := l.callers.as(ctx, school, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	stream, err := irtv1.NewImportServiceClient(l.conn(0)).CreateImport(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: &irtv1.ImportHeader{
		Parent: "agencies/" + school, Format: irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT,
	}}})
	for rest := file; err == nil && len(rest) > 0; {
		chunk := rest[:min(importChunk, len(rest))]
		rest = rest[len(chunk):]
		err = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: chunk}})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	done, err := stream.CloseAndRecv()
	if err == nil && int(done.GetAccepted()) != rows {
		err = fmt.Errorf("of %d rows %d were accepted and %d refused", rows, done.GetAccepted(), done.GetRejected())
	}
	return err
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
func (l *lab) copySince(ctx context.Context, rows int, began time.Time) (*load, error) {
	var started time.Time
	var before usage
	err := l.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		copies := make([]tableCopy, len(written))
		for i, table := range written {
			var err error
			if copies[i], err = readCopy(ctx, tx, table, began); err != nil {
				return fmt.Errorf("reading %s: %w", table, err)
			}
		}
		started, before = time.Now(), l.meter.read()
		for _, c := range copies {
			if _, err := tx.Conn().PgConn().CopyFrom(ctx, &c.data, c.into); err != nil {
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
	data bytes.Buffer
	into string
}

func readCopy(ctx context.Context, tx pgx.Tx, table string, began time.Time) (c tableCopy, err error) {
	columns, err := columnsOf(ctx, tx, table)
	if err != nil {
		return c, err
	}
	list := strings.Join(columns, ", ")
	c.into = `COPY ` + twins + `.` + table + ` (` + list + `) FROM STDIN (FORMAT binary)`
	// COPY takes no parameters; the instant is this program's own.
	where := strings.ReplaceAll(since[table], "$1", "'"+began.UTC().Format(time.RFC3339Nano)+"'")
	_, err = tx.Conn().PgConn().CopyTo(ctx, &c.data, `COPY (SELECT `+list+` FROM `+table+` `+where+`) TO STDOUT (FORMAT binary)`)
	return c, err
}
