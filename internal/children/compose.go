package children

import (
	"slices"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// source is where some fields of a child come from: the record of one agency,
// at one version. It is stored as JSON with each child.
type source struct {
	Agency string  `json:"a"`
	Micros int64   `json:"t"` // when the hub came to know that version, µs since 1970
	Fields []int32 `json:"f"` // field numbers in Child
	Pinned bool    `json:"p,omitempty"`
}

// kindOfAgency tells what an agency is; agencies.Directory is one.
type kindOfAgency func(agencyID string) irtv1.AgencyKind

// compose makes the child that its active records describe together. For each
// field (or group of fields) it takes the record that has it and whose agency
// is trusted most for it by the schema; among equals the one changed most
// recently; then the one with the lower id, so that the result does not depend
// on the order of the records. A pin goes before all that.
func compose(records []*record, by pins, kind kindOfAgency) (*irtv1.Child, []source) {
	byRecency := slices.Clone(records)
	slices.SortFunc(byRecency, func(a, b *record) int {
		if c := b.knownFrom.Compare(a.knownFrom); c != 0 {
			return c
		}
		return slices.Compare(a.id[:], b.id[:])
	})
	c := composition{
		child: &irtv1.Child{}, records: byRecency, pins: by, kind: kind,
		chosen: map[string]*record{}, taken: map[*record][]int32{}, pinned: map[*pin][]int32{},
	}
	for i := range personColumns {
		if col := &personColumns[i]; !c.takePinned(col) {
			c.take(col)
		}
	}
	return c.child, c.sources()
}

type composition struct {
	child   *irtv1.Child
	records []*record
	pins    pins
	kind    kindOfAgency
	chosen  map[string]*record // by group
	taken   map[*record][]int32
	pinned  map[*pin][]int32
}

// takePinned takes a field from where it is pinned to, if it is and that is there:
// a record that is one of the child's and says something of the field or its group.
func (c *composition) takePinned(col *column) bool {
	p := c.pins[col.pinKey()]
	if p == nil {
		return false
	}
	if p.value != nil {
		c.takeValue(p, col, p.value.ProtoReflect(), col.child)
		return true
	}
	r := c.pinnedRecord(p)
	if r == nil {
		return false
	}
	c.takeValue(p, col, r.person.ProtoReflect(), col.record)
	return true
}

func (c *composition) takeValue(p *pin, col *column, in protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if in.Has(fd) {
		set(c.child.ProtoReflect(), col.child, in.Get(fd))
		c.pinned[p] = append(c.pinned[p], col.number)
	}
}

// pinnedRecord is the record that a pin names, or nil where the pin is dormant.
func (c *composition) pinnedRecord(p *pin) *record {
	for _, r := range c.records {
		if r.id == p.record && speaksOf(r, p.key) {
			return r
		}
	}
	return nil
}

// speaksOf tells whether a record says anything of what a pin is about.
func speaksOf(r *record, key string) bool {
	m := r.person.ProtoReflect()
	return slices.ContainsFunc(personColumns, func(col column) bool { return col.pinKey() == key && m.Has(col.record) })
}

func (c *composition) take(col *column) {
	from := c.choose(col)
	if from == nil {
		return
	}
	in := from.person.ProtoReflect()
	if !in.Has(col.record) {
		return
	}
	set(c.child.ProtoReflect(), col.child, in.Get(col.record))
	c.taken[from] = append(c.taken[from], col.number)
}

// set copies a value between two messages. Lists are shared, not copied: a
// record's content never changes once it is read.
func set(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	if !fd.IsList() {
		m.Set(fd, v)
		return
	}
	to, from := m.Mutable(fd).List(), v.List()
	for i := range from.Len() {
		to.Append(from.Get(i))
	}
}

func (c *composition) choose(col *column) *record {
	if col.group == "" {
		if r := c.mostTrusted(col.trusted, func(r *record) bool { return r.person.ProtoReflect().Has(col.record) && !c.standsIn(r, col) }); r != nil {
			return r
		}
		return c.mostTrusted(col.trusted, func(r *record) bool { return r.person.ProtoReflect().Has(col.record) })
	}
	if r, done := c.chosen[col.group]; done {
		return r
	}
	// The group's first field says whom to trust and is preferred to be there: an
	// NHS number before the reason why another agency has none. Where nobody is
	// trusted more (the address), the most recent that has any of it wins: "no
	// known address" replaces the address before it.
	var r *record
	if len(col.trusted) > 0 {
		r = c.mostTrusted(col.trusted, func(r *record) bool { return r.person.ProtoReflect().Has(col.record) })
	}
	if r == nil {
		r = c.mostTrusted(col.trusted, func(r *record) bool { return hasAnyOf(r, col.group) })
	}
	c.chosen[col.group] = r
	return r
}

// standsIn tells that a record has a word such as "Unknown" for the name: that gives
// way to any name that another record has, however much its agency is trusted.
func (c *composition) standsIn(r *record, col *column) bool {
	if len(c.records) == 1 || col.name != "given_name" && col.name != "family_name" {
		return false
	}
	return standard.NameIsPlaceholder(r.person.ProtoReflect().Get(col.record).String(), col.name == "given_name")
}

func (c *composition) mostTrusted(trusted []irtv1.AgencyKind, has func(*record) bool) *record {
	var best *record
	bestRank := len(trusted) + 1
	for _, r := range c.records {
		if rank := rankOf(trusted, c.kind(r.agency)); rank < bestRank && has(r) {
			best, bestRank = r, rank
		}
	}
	return best
}

func rankOf(trusted []irtv1.AgencyKind, kind irtv1.AgencyKind) int {
	if i := slices.Index(trusted, kind); i >= 0 {
		return i
	}
	return len(trusted)
}

func hasAnyOf(r *record, group string) bool {
	m := r.person.ProtoReflect()
	return slices.ContainsFunc(personColumns, func(col column) bool {
		return col.group == group && m.Has(col.record)
	})
}

func (c *composition) sources() []source {
	all := make([]source, 0, len(c.taken))
	for _, r := range c.records {
		if fields := c.taken[r]; len(fields) > 0 {
			all = append(all, source{Agency: r.agency, Micros: r.knownFrom.UnixMicro(), Fields: fields})
		}
	}
	for _, p := range inKeyOrder(c.pins) {
		if fields := c.pinned[p]; len(fields) > 0 {
			all = append(all, c.pinnedSource(p, fields))
		}
	}
	return all
}

func (c *composition) pinnedSource(p *pin, fields []int32) source {
	s := source{Agency: p.agency, Micros: p.created.UnixMicro(), Fields: fields, Pinned: true}
	if r := c.pinnedRecord(p); r != nil {
		s.Agency, s.Micros = r.agency, r.knownFrom.UnixMicro()
	}
	return s
}

// provenance shows the sources. show tells which agencies may be named.
func provenance(stored []byte, show func(agencyID string) bool) ([]*irtv1.Provenance, error) {
	all, err := parseSources(stored)
	if err != nil {
		return nil, err
	}
	out := make([]*irtv1.Provenance, len(all))
	for i, s := range all {
		out[i] = &irtv1.Provenance{UpdateTime: timestamp(time.UnixMicro(s.Micros)), Fields: fieldNames(s.Fields), Pinned: s.Pinned}
		if show(s.Agency) {
			out[i].Agency = "agencies/" + s.Agency
		}
	}
	return out, nil
}

func fieldNames(numbers []int32) []string {
	names := make([]string, 0, len(numbers))
	for _, n := range numbers {
		if name, ok := nameOfField[n]; ok {
			names = append(names, name)
		}
	}
	return names
}

var nameOfField = func() map[int32]string {
	names := make(map[int32]string, len(personColumns))
	for i := range personColumns {
		names[personColumns[i].number] = personColumns[i].name
	}
	return names
}()
