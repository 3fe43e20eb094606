package demo

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

func TestAreaIsWithinTheStandard(t *testing.T) {
	t.Parallel()
	p := newPlan(Children)
	check := func(what string, m proto.Message) {
		if faults, _ := standard.Check(m, standard.Options{Strict: true, Today: reckoned.AddDate(0, 2, 0)}); len(faults) > 0 {
			t.Errorf("%s: %v", what, faults)
		}
	}
	for _, a := range p.area.all {
		check(a.id, a.message)
		for _, who := range a.people {
			check(who.GetName(), who)
		}
	}
	for _, s := range p.sent {
		if s.record != nil {
			check(s.record.GetName(), s.record)
			before := proto.CloneOf(s.record)
			if standard.Normalise(s.record); !proto.Equal(before, s.record) {
				t.Errorf("%s is not in the hub's form: %v", s.record.GetName(), s.record)
			}
		}
		for _, i := range s.involvements {
			if i.message.GetChildRecord() == "" {
				i.message.Child = "children/x" // known when it is loaded
			}
			check(i.message.GetName(), i.message)
		}
	}
}

func TestAreaIsAsDescribed(t *testing.T) {
	t.Parallel()
	p := newPlan(Children)
	if n := len(p.area.schools) + len(p.area.practices); n != 60 {
		t.Errorf("%d schools and practices", n)
	}
	people, sensitive := 0, 0
	ids := map[string]bool{}
	for _, a := range p.area.all {
		people += len(a.people)
		if a.message.GetSensitive() {
			sensitive++
		}
		if ids[a.id] {
			t.Errorf("two agencies are %s", a.id)
		}
		ids[a.id] = true
	}
	if people != 150 || sensitive != 2 {
		t.Errorf("%d practitioners, %d sensitive services", people, sensitive)
	}
	records, names, twins, born := map[*child]int{}, map[string]bool{}, 0, map[string]int{}
	for _, s := range p.sent {
		if s.record != nil {
			records[s.child]++
			if names[s.record.GetName()] {
				t.Errorf("two records are %s", s.record.GetName())
			}
			names[s.record.GetName()] = true
		}
		for _, i := range s.involvements {
			if names[i.message.GetName()] {
				t.Errorf("two involvements are %s", i.message.GetName())
			}
			names[i.message.GetName()] = true
		}
	}
	numbers := map[string]bool{}
	for c, n := range records {
		if n < 1 || n > maxRecords || c.age() < 0 || c.age() > 19 {
			t.Errorf("a child of %d years has %d records", c.age(), n)
		}
		if numbers[c.nhsNumber] || c.upn != "" && numbers[c.upn] {
			t.Error("two children have one number")
		}
		numbers[c.nhsNumber], numbers[c.upn] = true, true
		born[fmt.Sprintf("%p %s", c.family, c.born)]++
	}
	for _, n := range born {
		if n > 1 {
			twins += n
		}
	}
	if len(records) != Children || twins < Children/100 || twins > Children/20 {
		t.Errorf("%d children, %d of them twins", len(records), twins)
	}
}

// Nothing in the area may reach or name anybody.
func TestAreaReachesNobody(t *testing.T) {
	t.Parallel()
	p := newPlan(Children)
	telephone := regexp.MustCompile(`^(01632 960\d{3}|07700 900\d{3})?$`)
	email := regexp.MustCompile(`^([a-z0-9.-]+@[a-z0-9.-]+\.example\.org)?$`)
	contact := func(what, t1, e1 string) {
		if !telephone.MatchString(t1) || !email.MatchString(e1) {
			t.Errorf("%s: %q, %q", what, t1, e1)
		}
	}
	for _, a := range p.area.all {
		contact(a.id, a.message.GetTelephone(), a.message.GetEmail())
		contact(a.id, a.message.GetOutOfHoursTelephone(), "")
		for _, who := range a.people {
			contact(who.GetName(), who.GetTelephone(), who.GetEmail())
		}
	}
	for _, s := range p.sent {
		r := s.record
		contact(r.GetName(), r.GetTelephone(), r.GetEmail())
		for _, c := range r.GetCarers() {
			contact(r.GetName(), c.GetTelephone(), c.GetEmail())
		}
		if n := r.GetNhsNumber(); n != "" && !strings.HasPrefix(n, "999") {
			t.Errorf("%s: the NHS number is not one for testing", r.GetName())
		}
		if r.GetPostcode() != "" && !strings.HasPrefix(r.GetPostcode(), "NF") {
			t.Errorf("%s: postcode %s", r.GetName(), r.GetPostcode())
		}
	}
}

func TestAreaIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	all, few := newPlan(400), newPlan(150)
	for i, s := range few.sent {
		same := all.sent[i]
		if !proto.Equal(s.record, same.record) || len(s.involvements) != len(same.involvements) {
			t.Fatalf("statement %d differs: %v and %v", i, s.record, same.record)
		}
		for n := range s.involvements {
			if !proto.Equal(s.involvements[n].message, same.involvements[n].message) {
				t.Fatalf("%v and %v", s.involvements[n].message, same.involvements[n].message)
			}
		}
	}
}

func TestAmeliaIsAsDocumented(t *testing.T) {
	t.Parallel()
	found := map[string]*irtv1.ChildRecord{}
	for _, s := range newPlan(2).sent {
		found[s.record.GetName()] = s.record
	}
	school, practice, care := found[AmeliaSchoolRecord], found[AmeliaPracticeRecord], found[AmeliaSocialCareRecord]
	if school == nil || practice == nil || care == nil {
		t.Fatalf("of her records there are %v", found)
	}
	if school.GetFamilyName() != AmeliaFamilyName || school.GetDateOfBirth() != AmeliaDateOfBirth ||
		practice.GetNhsNumber() != AmeliaNHSNumber || care.GetNhsNumber() != "" {
		t.Errorf("%v\n%v\n%v", school, practice, care)
	}
	if _, err := time.Parse(time.DateOnly, AmeliaDateOfBirth); err != nil {
		t.Error(err)
	}
}
