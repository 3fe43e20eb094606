package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	irtv1 "irthub/gen/irt/v1"
)

const (
	soakStream = 50  // records of a stream
	soakRows   = 200 // of a file, at most
)

// moved is a record whose child lives at another house now.
func (a *asker) moved(r *irtv1.ChildRecord) *irtv1.ChildRecord {
	a.houses++
	return &irtv1.ChildRecord{
		Name: r.GetName(), GivenName: r.GetGivenName(), FamilyName: r.GetFamilyName(), DateOfBirth: r.GetDateOfBirth(), Sex: r.GetSex(),
		NhsNumber: r.GetNhsNumber(), Upn: r.GetUpn(), Postcode: r.GetPostcode(),
		AddressLines: []string{strconv.Itoa(a.houses) + " Station Road", "Norwich"},
	}
}

// write sends versions of records, and notes how they stand if that is acknowledged.
func (a *asker) write(records []*irtv1.ChildRecord, send func() error) error {
	for _, r := range records {
		delete(a.standing, thing{"child_records", r.GetName()})
	}
	if err := send(); err != nil {
		return err
	}
	for _, r := range records {
		a.standing[thing{"child_records", r.GetName()}] = r.GetAddressLines()[0]
	}
	return nil
}

func (a *asker) draw() (agency string, r *irtv1.ChildRecord) {
	one := a.rolls[a.IntN(len(a.rolls))]
	return one.agency, one.records[a.IntN(len(one.records))]
}

// submit sends a record, moved to another house.
func (s *soak) submit(ctx context.Context, a *asker) error {
	_, r := a.draw()
	r = a.moved(r)
	return a.write([]*irtv1.ChildRecord{r}, func() error { return s.send(ctx, a, r) })
}

// submitBad sends a record that must be refused.
func (s *soak) submitBad(ctx context.Context, a *asker) error {
	_, r := a.draw()
	err := s.send(ctx, a, &irtv1.ChildRecord{Name: r.GetName(), GivenName: r.GetGivenName(), DateOfBirth: "2014-02-30"})
	switch status.Code(err) {
	case codes.InvalidArgument:
		return nil
	case codes.OK:
		return errors.New("a record with a day that does not exist was accepted")
	}
	return err
}

func (s *soak) send(ctx context.Context, a *asker, r *irtv1.ChildRecord) error {
	ctx, err := s.l.callers.as(ctx, agencyOf(r), irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	_, err = irtv1.NewChildServiceClient(s.l.conn(a.worker)).SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: r})
	return err
}

// some are records of one agency to send over a stream; a few may be there twice.
func (a *asker) some() (agency string, records []*irtv1.ChildRecord) {
	r := a.rolls[a.IntN(len(a.rolls))]
	for range soakStream {
		records = append(records, a.moved(r.records[a.IntN(len(r.records))]))
	}
	return r.agency, records
}

// inOrder finds what is wrong with the n-th answer of a stream.
func inOrder(n int, answer *irtv1.SubmitChildRecordsResponse) error {
	if refused := answer.GetError(); refused != nil {
		return fmt.Errorf("a record was refused: %w", status.FromProto(refused).Err())
	}
	if answer.GetRequestId() != strconv.Itoa(n) || answer.GetResult() == nil {
		return fmt.Errorf("record %d of a stream was answered with %q", n, answer.GetRequestId())
	}
	return nil
}

// submitStream sends records over a stream, and has each answered in its turn.
func (s *soak) submitStream(ctx context.Context, a *asker) error {
	agency, records := a.some()
	return a.write(records, func() error {
		ctx, err := s.l.callers.as(ctx, agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := irtv1.NewChildServiceClient(s.l.conn(a.worker)).SubmitChildRecords(ctx)
		if err != nil {
			return err
		}
		for n, r := range records { // fewer than the hub lets wait for their answers
			if stream.Send(&irtv1.SubmitChildRecordsRequest{RequestId: strconv.Itoa(n), ChildRecord: r}) != nil {
				break // Recv says why
			}
		}
		_ = stream.CloseSend() // never fails
		for n := range records {
			answer, err := stream.Recv()
			if err != nil {
				return err
			}
			if err := inOrder(n, answer); err != nil {
				return err
			}
		}
		return nil
	})
}

// submitLines is submitStream over REST: lines of JSON there and back.
func (s *soak) submitLines(ctx context.Context, a *asker) error {
	agency, records := a.some()
	var body bytes.Buffer
	for n, r := range records {
		line, err := protojson.Marshal(&irtv1.SubmitChildRecordsRequest{RequestId: strconv.Itoa(n), ChildRecord: r})
		if err != nil {
			return err
		}
		body.Write(append(line, '\n'))
	}
	md, err := s.l.callers.headers(agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	return a.write(records, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.l.hub.http+"/v1/childRecords:submit", &body)
		if err != nil {
			return err
		}
		req.Header = overHTTP(md)
		req.Header.Set("Content-Type", "application/x-ndjson")
		resp, err := s.l.web.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		lines, n := bufio.NewScanner(resp.Body), 0
		for ; lines.Scan(); n++ {
			var answer irtv1.SubmitChildRecordsResponse
			if err := protojson.Unmarshal(lines.Bytes(), &answer); err != nil {
				return err
			}
			if err := inOrder(n, &answer); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil || n != len(records) {
			return errors.Join(err, fmt.Errorf("REST answered %d of %d records (%s)", n, len(records), resp.Status))
		}
		return nil
	})
}

// importRoll imports a file of a school's children, of whom every third has moved; of
// the others it says what it said last.
func (s *soak) importRoll(ctx context.Context, a *asker) error {
	school := a.schools[a.IntN(len(a.schools))]
	var file bytes.Buffer
	w := csv.NewWriter(&file)
	_ = w.Write(cohortHeader) // Error tells
	records := make([]*irtv1.ChildRecord, min(len(school.records), soakRows))
	for n := range records {
		r := a.moved(school.records[n])
		if line := a.standing[thing{"child_records", r.GetName()}]; n%3 > 0 && line != "" {
			r.AddressLines[0] = line
		}
		_ = w.Write(cohortRow(r))
		records[n] = r
	}
	if w.Flush(); w.Error() != nil {
		return w.Error()
	}
	return a.write(records, func() error {
		done, err := s.l.importFile(ctx, a.worker, school.agency, &file, nil)
		if err == nil && int(done.GetAccepted()+done.GetUnchanged()) != len(records) {
			err = fmt.Errorf("of %d rows %d were refused", len(records), done.GetRejected())
		}
		return err
	})
}

// own is a thing that an agency says of a child until a day.
type own struct{ agency, name, childRecord, start, day string }

// sendOwn has a thing of a kind, which the agency of a record has of its child, said
// until another day, and notes that day if it is acknowledged.
func (s *soak) sendOwn(ctx context.Context, a *asker, kind string, send func(context.Context, own) error) error {
	agency, r := a.draw()
	ctx, err := s.l.callers.as(ctx, agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	today := s.l.people.today
	o := own{
		agency: agency, name: "agencies/" + agency + "/" + kind + "/s-" + r.GetName()[strings.LastIndexByte(r.GetName(), '/')+1:],
		childRecord: r.GetName(), start: today.Format(time.DateOnly), day: today.AddDate(0, 0, 1+a.IntN(300)).Format(time.DateOnly),
	}
	is := thing{kind, o.name}
	delete(a.standing, is)
	if err := send(ctx, o); err != nil {
		return err
	}
	a.standing[is] = o.day
	return nil
}

// submitConcern shares a concern about a child, or puts off its review.
func (s *soak) submitConcern(ctx context.Context, a *asker) error {
	return s.sendOwn(ctx, a, "concerns", func(ctx context.Context, o own) error {
		_, err := irtv1.NewConcernServiceClient(s.l.conn(a.worker)).SubmitConcern(ctx, &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
			Name: o.name, ChildRecord: o.childRecord, Category: "ATTENDANCE", Level: "EARLY_HELP", StartDate: o.start, ReviewDate: o.day,
		}})
		return err
	})
}

// submitInvolvement says of somebody who works with a child until when.
func (s *soak) submitInvolvement(ctx context.Context, a *asker) error {
	return s.sendOwn(ctx, a, "involvements", func(ctx context.Context, o own) error {
		_, err := irtv1.NewInvolvementServiceClient(s.l.conn(a.worker)).SubmitInvolvement(ctx, &irtv1.SubmitInvolvementRequest{Involvement: &irtv1.Involvement{
			Name: o.name, ChildRecord: o.childRecord, Role: "FAMILY_SUPPORT_WORKER",
			Practitioner: "agencies/" + o.agency + "/practitioners/" + practitionerID(0), StartDate: o.start, EndDate: o.day,
		}})
		return err
	})
}
