package children

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// plainJSON reads JSON of the few shapes in which the hub stores lists beside a
// child. encoding/json and protojson, which learn a shape anew each time, took a
// quarter of the hub's CPU for a read. What plainJSON does not expect (an escape, a
// key of a newer hub) it leaves to them: it sets strange and gives empty values.
type plainJSON struct {
	rest    []byte
	strange bool
}

// next drops white space and tells the next byte, or 0.
func (p *plainJSON) next() byte {
	for len(p.rest) > 0 {
		switch c := p.rest[0]; c {
		case ' ', '\n', '\t', '\r':
			p.rest = p.rest[1:]
		default:
			return c
		}
	}
	return 0
}

// take takes c if it comes next.
func (p *plainJSON) take(c byte) bool {
	if p.strange || p.next() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *plainJSON) want(c byte) {
	if !p.take(c) {
		p.strange = true
	}
}

// list calls item for each item between two brackets.
func (p *plainJSON) list(opened, closed byte, item func()) {
	p.want(opened)
	if p.strange || p.take(closed) {
		return
	}
	for !p.strange {
		item()
		if !p.take(',') {
			break
		}
	}
	p.want(closed)
}

// object calls member for each key, which must read its value.
func (p *plainJSON) object(member func(key []byte)) {
	p.list('{', '}', func() {
		key := p.text()
		p.want(':')
		member(key)
	})
}

// text is a string without escapes, part of the input.
func (p *plainJSON) text() []byte {
	p.want('"')
	if p.strange {
		return nil
	}
	for i, c := range p.rest {
		switch {
		case c == '"':
			text := p.rest[:i]
			p.rest = p.rest[i+1:]
			return text
		case c == '\\' || c < ' ':
			p.strange = true
			return nil
		}
	}
	p.strange = true
	return nil
}

// digitsAtMost keep a number within an int64.
const digitsAtMost = 18

// number is a whole number that is not negative.
func (p *plainJSON) number() (n int64) {
	p.next()
	digits := 0
	for digits < len(p.rest) && p.rest[digits] >= '0' && p.rest[digits] <= '9' {
		n = n*10 + int64(p.rest[digits]-'0')
		if digits++; digits > digitsAtMost {
			break
		}
	}
	if digits == 0 || digits > digitsAtMost || digits > 1 && p.rest[0] == '0' {
		p.strange = true
		return 0
	}
	p.rest = p.rest[digits:]
	return n
}

// whole tells whether everything was read and nothing was strange.
func (p *plainJSON) whole() bool { return !p.strange && p.next() == 0 && len(p.rest) == 0 }

// parseSources reads where the fields of a child come from.
func parseSources(stored []byte) ([]source, error) {
	if all, ok := plainSources(stored); ok {
		return all, nil
	}
	var all []source
	if err := json.Unmarshal(stored, &all); err != nil {
		return nil, fmt.Errorf("children: reading provenance: %w", err)
	}
	return all, nil
}

func plainSources(stored []byte) (all []source, ok bool) {
	p := plainJSON{rest: stored}
	all = make([]source, 0, 2)
	p.list('[', ']', func() {
		var s source
		p.object(func(key []byte) {
			switch string(key) {
			case "a":
				s.Agency = string(p.text())
			case "t":
				s.Micros = p.number()
			case "f":
				s.Fields = make([]int32, 0, len(personColumns))
				p.list('[', ']', func() { s.Fields = append(s.Fields, p.fieldNumber()) })
			default:
				p.strange = true
			}
		})
		all = append(all, s)
	})
	return all, p.whole()
}

// fieldNumber is a number of a field, which has nine digits at most.
func (p *plainJSON) fieldNumber() int32 {
	n := p.number()
	if n > 1<<29 {
		p.strange = true
		return 0
	}
	return int32(n) //nolint:gosec // bounded above
}

// carerFields are the fields of a carer, by the name under which they are stored.
var carerFields = (&irtv1.Carer{}).ProtoReflect().Descriptor().Fields()

func plainCarers(stored []byte) (all []*irtv1.Carer, ok bool) {
	p := plainJSON{rest: stored}
	p.list('[', ']', func() {
		carer := &irtv1.Carer{}
		m := carer.ProtoReflect()
		p.object(func(key []byte) {
			fd := carerFields.ByName(protoreflect.Name(key))
			if fd == nil || fd.Kind() != protoreflect.StringKind || fd.IsList() || m.Has(fd) {
				p.strange = true
				return
			}
			m.Set(fd, protoreflect.ValueOfString(string(p.text())))
		})
		all = append(all, carer)
	})
	return all, p.whole()
}
