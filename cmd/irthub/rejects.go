package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/textfile"
)

// rejectsPath is where the rejects go: as told, or beside the file. "" is nowhere.
func (f *importFlags) rejectsPath() (string, error) {
	switch {
	case f.Rejects != "" && f.Rejects == absolute(f.File):
		return "", usage(errors.New("--rejects: that is the file itself"))
	case f.Rejects != "":
		return f.Rejects, nil
	case f.once():
		return "", nil
	}
	return strings.TrimSuffix(f.File, filepath.Ext(f.File)) + ".rejects.csv", nil
}

// once tells a file that can be read only once, standard input or a pipe: there is
// nothing to read again, and no place beside it.
func (f *importFlags) once() bool {
	if f.File == "-" {
		return true
	}
	info, err := os.Stat(f.File)
	return err == nil && !info.Mode().IsRegular()
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// writeRejects writes one line for each fault, with the row it is in, and says to
// which file. Without any it writes only where a file was asked for.
func (f *importFlags) writeRejects(
	ctx context.Context, client irtv1.ImportServiceClient, done *irtv1.Import, format irtv1.ImportFormat,
) (path string, err error) {
	path, err = f.rejectsPath()
	if err != nil || path == "" || done.GetRejected() == 0 && f.Rejects == "" {
		return "", err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // it holds rows of children
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if !isTable(format) || f.once() {
		return path, downloadRejects(withPurpose(ctx, "DATA_QUALITY"), client, done.GetName(), out)
	}
	rows, err := f.originals(format)
	if err != nil {
		return "", err
	}
	defer rows.close()
	w := csv.NewWriter(out)
	err = errors.Join(w.Write(exchange.RejectHeader(rows.header)),
		eachReject(ctx, client, done.GetName(), func(r *irtv1.ImportReject) error {
			row, raw := rows.at(r.GetRow())
			return w.Write(exchange.RejectRow(r, rows.header, row, raw))
		}))
	w.Flush()
	return path, errors.Join(err, w.Error())
}

// eachReject calls do for the rejects of an import in the order of the file.
func eachReject(ctx context.Context, client irtv1.ImportServiceClient, name string, do func(*irtv1.ImportReject) error) error {
	for token := ""; ; {
		page, err := client.ListImportRejects(ctx, &irtv1.ListImportRejectsRequest{Parent: name, PageSize: 1000, PageToken: token})
		if err != nil {
			return err
		}
		for _, r := range page.GetImportRejects() {
			if err := do(r); err != nil {
				return err
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

// isTable tells the forms whose rows the local file has by their number.
func isTable(format irtv1.ImportFormat) bool {
	switch format {
	case irtv1.ImportFormat_IMPORT_FORMAT_SCHOOL_COHORT, irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES,
		irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS, irtv1.ImportFormat_IMPORT_FORMAT_INVOLVEMENTS,
		irtv1.ImportFormat_IMPORT_FORMAT_CONCERNS, irtv1.ImportFormat_IMPORT_FORMAT_REFERRALS,
		irtv1.ImportFormat_IMPORT_FORMAT_PLANS, irtv1.ImportFormat_IMPORT_FORMAT_CONSENTS,
		irtv1.ImportFormat_IMPORT_FORMAT_SERVICES:
		return true
	}
	return false
}

// originals are the rows of the local file, read once more beside the rejects,
// which come in the same order.
type originals struct {
	file   *os.File
	rows   *csvfile.Reader
	header []string // nil where there is none
	row    csvfile.Row
}

// originals opens the file again.
func (f *importFlags) originals(format irtv1.ImportFormat) (*originals, error) {
	o := &originals{}
	file, err := os.Open(f.File)
	if err != nil {
		return nil, err
	}
	text, _, err := textfile.Open(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the file again: %w", err), file.Close())
	}
	o.file, o.rows = file, csvfile.NewReader(text)
	if o.row, err = o.rows.Read(); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("reading the file again: %w", err), file.Close())
	}
	o.rows.Expect(len(o.row.Cells))
	if format != irtv1.ImportFormat_IMPORT_FORMAT_GP_PRACTICES { // which has no header
		o.header = slices.Clone(o.row.Cells)
	}
	return o, nil
}

// at gives the row that begins at a line, and as much of its text as was read; both empty
// where there is none.
func (o *originals) at(line int32) (row csvfile.Row, raw string) {
	for o.rows != nil && o.row.Line < line {
		var err error
		if o.row, err = o.rows.Read(); err != nil {
			o.rows = nil
		}
	}
	if o.rows == nil || o.row.Line != line {
		return csvfile.Row{}, ""
	}
	return o.row, string(o.rows.Raw())
}

func (o *originals) close() {
	if o.file != nil {
		_ = o.file.Close() // it was only read
	}
}
