package exchange

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
)

// rejectColumns stand in a file of rejects before the columns of the file that they are
// of. original is the row as it was sent, where it cannot be put into those. An import
// passes them over, so that the rejects, once corrected, can be sent as they are.
var rejectColumns = []string{"row", "column", "rule", "description", "action", "original"}

// added tells how many of the rejectColumns a header begins with: that of a file of
// rejects which was corrected.
func added(header []string) (n int) {
	for n < len(rejectColumns) && n < len(header) && header[n] == rejectColumns[n] {
		n++
	}
	return n
}

// RejectHeader is the first row of the rejects of a file with such a header, which is nil
// where that has none.
func RejectHeader(header []string) []string {
	return slices.Concat(rejectColumns, header[added(header):])
}

// RejectRow is a row of the rejects of a file: a fault, and the row that it is of. That
// stands cell by cell in the columns of the file or, where it cannot be taken apart as
// those have it, as raw, which is as much as was read of it.
func RejectRow(r *irtv1.ImportReject, header []string, row csvfile.Row, raw string) []string {
	n := added(header)
	cells := make([]string, len(header)-n)
	if row.Fault == nil && len(header) > 0 && len(row.Cells) == len(header) {
		cells, raw = row.Cells[n:], ""
	}
	return append([]string{
		strconv.FormatInt(int64(r.GetRow()), 10), r.GetColumn(), r.GetRuleId(), r.GetDescription(), r.GetAction(), strings.TrimRight(raw, "\r\n"),
	}, cells...)
}

// downloadChunk is how much of a file is sent in one message.
const downloadChunk = 64 << 10

// DownloadImportRejects implements irtv1.ImportServiceServer.
func (s *Service) DownloadImportRejects(
	req *irtv1.DownloadImportRejectsRequest, stream grpc.ServerStreamingServer[irtv1.DownloadImportRejectsResponse],
) error {
	ctx := stream.Context()
	agency, id, ok := parseImportName(req.GetParent())
	if !ok || identity.FromContext(ctx).Agency != agency {
		return rpc.Denied() // what was sent is for its sender alone
	}
	header, err := headerOf(ctx, s.pool, agency, id)
	if err != nil {
		return err
	}
	audit.FromContext(ctx).AddReturned(req.GetParent() + "/rejects")
	f := &rejectsFile{send: func(b []byte) error {
		part := &irtv1.DownloadImportRejectsResponse{Chunk: b}
		redact.Pass(ctx, part) // it is what the caller's own agency has sent
		return stream.Send(part)
	}}
	f.csv = csv.NewWriter(&f.buf)
	if err := f.write(RejectHeader(header)); err != nil {
		return err
	}
	for after := int64(0); ; after += largestPage {
		page, err := listKept(ctx, s.pool, id, after, largestPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := f.write(r.cells(header)); err != nil {
				return err
			}
		}
		if len(page) < largestPage {
			return f.flush()
		}
	}
}

// rejectsFile is the file on its way.
type rejectsFile struct {
	buf  bytes.Buffer
	csv  *csv.Writer
	send func([]byte) error
}

func (f *rejectsFile) write(cells []string) error {
	if err := f.csv.Write(cells); err != nil {
		return fmt.Errorf("exchange: writing rejects: %w", err)
	}
	if f.buf.Len() < downloadChunk {
		return nil
	}
	return f.flush()
}

func (f *rejectsFile) flush() error {
	f.csv.Flush()
	if f.buf.Len() == 0 {
		return nil
	}
	defer f.buf.Reset()
	return f.send(bytes.Clone(f.buf.Bytes()))
}

// keptReject is a reject and the row that it is of, as far as that is kept.
type keptReject struct {
	*irtv1.ImportReject
	content string
}

// cells are the reject in a file of rejects. The beginning of a row that was too long is
// not taken apart: it could pass for a whole row.
func (r keptReject) cells(header []string) []string {
	row := csvfile.Row{}
	if len(header) > 0 && r.GetRuleId() != "IMPORT_ROW_TOO_LONG" {
		row, _ = csvfile.NewReader(strings.NewReader(r.content)).Read() // without cells where it cannot be read
	}
	return RejectRow(r.ImportReject, header, row, r.content)
}

// headerOf gives the columns of an import's file.
func headerOf(ctx context.Context, pool querier, agency string, id uuid.UUID) (header []string, err error) {
	rows, err := pool.Query(ctx, `SELECT header FROM imports WHERE import_id = $1 AND agency_id = $2`, id, agency)
	if err != nil {
		return nil, fmt.Errorf("exchange: reading an import: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]string])
	switch {
	case err != nil:
		return nil, fmt.Errorf("exchange: reading an import: %w", err)
	case len(found) == 0:
		return nil, rpc.NotFound("import")
	}
	return found[0], nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// listKept returns at most limit rejects after a place in the list, with their
// rows.
func listKept(ctx context.Context, pool querier, id uuid.UUID, after int64, limit int) ([]keptReject, error) {
	rows, err := pool.Query(ctx,
		`SELECT r.row, r."column", r.rule_id, r.description, r.action, coalesce(k.content, '') FROM import_rejects r
		LEFT JOIN import_rejected_rows k ON k.import_id = r.import_id AND k.row = r.row
			AND EXISTS (SELECT FROM imports i WHERE i.import_id = r.import_id AND i.kept_until > now())
		WHERE r.import_id = @import_id AND r.sequence > @after ORDER BY r.sequence LIMIT @limit`,
		pgx.NamedArgs{"import_id": id, "after": after, "limit": limit})
	if err != nil {
		return nil, fmt.Errorf("exchange: listing rejects: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (keptReject, error) {
		m := keptReject{ImportReject: &irtv1.ImportReject{}}
		return m, row.Scan(&m.Row, &m.Column, &m.RuleId, &m.Description, &m.Action, &m.content)
	})
	if err != nil {
		return nil, fmt.Errorf("exchange: listing rejects: %w", err)
	}
	return list, nil
}
