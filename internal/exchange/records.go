package exchange

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/csvfile"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/exchange/textfile"
	"irthub/internal/standard"
)

// records is the reading of the hub's own form of child records, of what hangs on a
// child, or of services.
type records struct {
	table
	agency string
	layout *recordfile.Layout
	width  int
	kind   kind
	rows   int // read
}

func openRecords(j *job, file io.Reader, k kind) (source, error) {
	r := &records{table: table{file: csvfile.NewReader(file)}, agency: j.agency, kind: k}
	header, err := r.header()
	if err != nil {
		return nil, err
	}
	if header.Fault != nil {
		return nil, header.Fault
	}
	layout, fault := k.form.Layout(header.Cells)
	if fault != nil {
		return nil, fault
	}
	if k.form == consents.form && len(layout.Ignored) > 0 {
		return nil, unknownColumns(layout.Ignored)
	}
	r.layout, r.width = layout, len(header.Cells)
	j.state.IgnoredColumns, j.header = layout.Ignored, r.names
	return r, nil
}

// unknownColumns refuses a file of consents with columns that its form does not have:
// where one of them is to say what a consent is restricted to, the rest says more than
// was agreed.
func unknownColumns(names []string) *textfile.FormatError {
	return &textfile.FormatError{
		RuleID: "IMPORT_COLUMNS_UNKNOWN", Description: fmt.Sprintf("The form of consents has no columns %s.", strings.Join(names, ", ")),
		Action: "Name the columns as the template has them, or leave them out. Nothing of a consent may be lost.",
	}
}

// next implements source.
func (r *records) next() (*line, error) {
	row, err := r.file.Read()
	for err == nil && r.rows < instructionRows && isInstruction(row.Cells) {
		row, err = r.file.Read()
	}
	if err != nil {
		return nil, err
	}
	r.rows++
	l := r.line(row, r.width)
	if l.fault != nil {
		return l, nil //nolint:nilerr // it goes on with the line
	}
	m := r.kind.empty()
	filled, faults := r.layout.Fill(m.ProtoReflect(), row.Cells)
	tell := func(faults []standard.Fault) []*irtv1.ImportReject {
		return rejectsOf(l.number, faults, func(path string) string { return r.layout.Column(path, filled) })
	}
	l.hold(m, r.agency, r.kind, tell)
	if len(faults) > 0 {
		l.rejects = tell(faults)
		for _, r := range l.faults() { // what of a cell could not be read is said once
			if !slices.ContainsFunc(l.rejects, func(told *irtv1.ImportReject) bool { return told.GetColumn() == r.GetColumn() && r.GetColumn() != "" }) {
				l.rejects = append(l.rejects, r)
			}
		}
	}
	return l, nil
}

// hold makes a message what the row is to become.
func (l *line) hold(m proto.Message, agency string, k kind, tell func([]standard.Fault) []*irtv1.ImportReject) {
	k.qualify(agency, m)
	clearHubs(m)
	normalise(m)
	l.thing = k.thing
	switch m := m.(type) {
	case *irtv1.ChildRecord:
		l.record, l.tell = m, tell
	case hanging:
		l.parts = []hanging{m}
		l.tellOther = func(_ int, faults []standard.Fault) []*irtv1.ImportReject { return tell(faults) }
	}
	if owner, _, ok := agencies.ParseChildName(l.subject(), k.collection); ok && owner != agency {
		l.fault = errForeign
	}
}

// clearHubs empties the fields that only the hub sets, but for where a concern, a
// referral or a consent stands: a file is not to share anew what is over, or to record
// anew what was withdrawn.
func clearHubs(m proto.Message) {
	switch m := m.(type) {
	case *irtv1.Concern:
		defer func(s irtv1.ConcernState) { m.State = s }(m.GetState())
	case *irtv1.Referral:
		defer func(s irtv1.ReferralState) { m.State = s }(m.GetState())
	case *irtv1.Consent:
		defer func(s irtv1.ConsentState) { m.State = s }(m.GetState())
	}
	standard.ClearOutputOnly(m)
}

var errForeign = &textfile.FormatError{
	RuleID: "IMPORT_OTHER_AGENCY", Description: "The name is that of another agency's record.",
	Action: "Give your own id of it alone, or send the file as the other agency's.",
}

// qualified is the whole name of what a file may give by the agency's own id alone.
func qualified(agency, collection, name string) string {
	if name = standard.CleanText(name); name == "" || strings.Contains(name, "/") {
		return name
	}
	return agencies.Name(agency) + "/" + collection + "/" + name
}

// rejectsOf tells faults in the words of a file, of which column gives its own
// names.
func rejectsOf(row int32, faults []standard.Fault, column func(path string) string) []*irtv1.ImportReject {
	list := make([]*irtv1.ImportReject, len(faults))
	for i, f := range faults {
		list[i] = &irtv1.ImportReject{
			Row: row, Column: column(f.Field), RuleId: f.RuleID, Description: f.Description, Action: f.Action,
		}
	}
	return list
}
