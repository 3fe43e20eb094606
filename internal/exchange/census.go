package exchange

import (
	"context"
	"fmt"
	"io"
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/cinfile"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/standard"
)

// noName stands for the names that the census does not have. The standard keeps it
// as a query, matching looks past it, and any other record's name comes before it.
const noName = "Unknown"

// census is the reading of a DfE children in need census. Each child is a record
// of social care under its LA child id, and each period in need an involvement.
// What the file says of why is not taken.
type census struct {
	ctx    context.Context //nolint:containedctx // of the import that it is read in
	s      *Service
	file   *cinfile.Reader
	agency string
}

func openCensus(ctx context.Context, s *Service, j *job, file io.Reader) (source, error) {
	return &census{ctx: ctx, s: s, file: cinfile.NewReader(file), agency: j.agency}, nil
}

// offset implements source.
func (c *census) offset() int64 { return c.file.Offset() }

// encoding implements source.
func (c *census) encoding() string { return "UTF-8" }

// next implements source.
func (c *census) next() (*line, error) {
	child, err := c.file.Read()
	if err != nil {
		return nil, err
	}
	l := &line{number: child.Line}
	id := strings.TrimSpace(child.LAChildID)
	name := agencies.Name(c.agency) + "/childRecords/" + id
	present, err := c.s.records.Own(c.ctx, c.agency, id)
	if err != nil {
		return nil, err
	}
	l.record = recordOf(child, present)
	l.record.Name = name
	for _, i := range episodesOf(child, c.agency, name) {
		l.parts = append(l.parts, i)
	}
	l.tell = func(faults []standard.Fault) []*irtv1.ImportReject {
		return rejectsOf(l.number, faults, func(path string) string {
			field, _, _ := strings.Cut(path, "[")
			return censusElements[field]
		})
	}
	l.tellOther = func(i int, faults []standard.Fault) []*irtv1.ImportReject {
		return rejectsOf(l.number, faults, func(path string) string {
			return fmt.Sprintf("CINdetails %d: %s", i+1, censusElements[path])
		})
	}
	standard.Normalise(l.record)
	return l, nil
}

// censusElements are the elements that fields come from.
var censusElements = map[string]string{
	"name": "LAchildID", "la_child_id": "LAchildID", "upn": "UPN", "former_upn": "FormerUPN", "upn_unknown_reason": "UPNunknown",
	"date_of_birth": "PersonBirthDate", "expected_date_of_birth": "ExpectedPersonBirthDate", "date_of_death": "PersonDeathDate",
	"sex": "Sex", "ethnicity": "Ethnicity", "disabilities": "Disability",
	"start_date": "CINreferralDate", "end_date": "CINclosureDate",
}

// recordOf is what the census says of a child, put over what the agency has said
// before: names, address and carers are not in the census.
func recordOf(child *cinfile.Child, present *irtv1.ChildRecord) *irtv1.ChildRecord {
	r := present
	if r == nil {
		r = &irtv1.ChildRecord{GivenName: noName, FamilyName: noName}
		if strings.TrimSpace(child.BirthDate) == "" && strings.TrimSpace(child.ExpectedDate) != "" {
			r.GivenName = "Baby"
		}
	}
	r.LaChildId = strings.TrimSpace(child.LAChildID)
	if born, expected := dateOf(child.BirthDate), dateOf(child.ExpectedDate); born != "" || expected != "" {
		r.DateOfBirth, r.ExpectedDateOfBirth = born, expected
	}
	if upn := strings.TrimSpace(child.UPN); upn != "" {
		r.Upn, r.UpnUnknownReason = upn, ""
	} else if reason := strings.TrimSpace(child.UPNUnknown); reason != "" && r.GetUpn() == "" {
		r.UpnUnknownReason = reason
	}
	for to, text := range map[*string]string{
		&r.FormerUpn: child.FormerUPN, &r.DateOfDeath: dateOf(child.DeathOn),
		&r.Sex: sexOf(child.Sex), &r.Ethnicity: child.Ethnicity,
	} {
		if text = strings.TrimSpace(text); text != "" {
			*to = text
		}
	}
	if len(child.Disabilities) > 0 {
		r.Disabilities = child.Disabilities
	}
	return r
}

func dateOf(text string) string { return recordfile.ISODate(text) }

// sexOf reads the older codes of GenderCurrent, in which 0 was not known and 9 not
// specified.
func sexOf(text string) string {
	switch text = strings.TrimSpace(text); text {
	case "0", "9":
		return "U"
	}
	return text
}

// episodesOf are the periods in need as involvements of social care. A referral of
// which nothing came lasted for its day.
func episodesOf(child *cinfile.Child, agency, record string) []*irtv1.Involvement {
	var all []*irtv1.Involvement
	seen := map[string]int{}
	for _, e := range child.Episodes {
		start, end := dateOf(e.Referred), dateOf(e.Closed)
		if end == "" && isTrue(e.NoFurtherAction) {
			end = start
		}
		id := fmt.Sprintf("cin-%s-%s", strings.TrimSpace(child.LAChildID), start)
		if seen[start]++; seen[start] > 1 {
			id += fmt.Sprintf("-%d", seen[start])
		}
		all = append(all, &irtv1.Involvement{
			Name: agencies.Name(agency) + "/involvements/" + id, ChildRecord: record,
			Role: "SOCIAL_WORKER", StartDate: start, EndDate: end,
		})
	}
	return all
}

func isTrue(text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text == "true" || text == "1"
}
