package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
)

// What streams, exports and downloads have in these tests: one of each.

func (*services) ExportChildRecords(_ *irtv1.ExportChildRecordsRequest, s grpc.ServerStreamingServer[irtv1.ExportChildRecordsResponse]) error {
	return s.Send(&irtv1.ExportChildRecordsResponse{ChildRecords: []*irtv1.ChildRecord{{Name: "agencies/a/childRecords/1", GivenName: "Aoife"}}})
}

func (*services) ExportInvolvements(_ *irtv1.ExportInvolvementsRequest, s grpc.ServerStreamingServer[irtv1.ExportInvolvementsResponse]) error {
	return s.Send(&irtv1.ExportInvolvementsResponse{Involvements: []*irtv1.Involvement{{Name: "agencies/a/involvements/1", Role: "NURSE"}}})
}

func (*services) ExportConcerns(_ *irtv1.ExportConcernsRequest, s grpc.ServerStreamingServer[irtv1.ExportConcernsResponse]) error {
	return s.Send(&irtv1.ExportConcernsResponse{Concerns: []*irtv1.Concern{{Name: "agencies/a/concerns/1", Category: "ATTENDANCE"}}})
}

func (*services) ExportReferrals(_ *irtv1.ExportReferralsRequest, s grpc.ServerStreamingServer[irtv1.ExportReferralsResponse]) error {
	return s.Send(&irtv1.ExportReferralsResponse{Referrals: []*irtv1.Referral{{Name: "agencies/a/referrals/1", Reason: "EARLY_HELP"}}})
}

func (*services) ExportPlans(_ *irtv1.ExportPlansRequest, s grpc.ServerStreamingServer[irtv1.ExportPlansResponse]) error {
	return s.Send(&irtv1.ExportPlansResponse{Plans: []*irtv1.ProtectionPlan{{Name: "agencies/a/plans/1", StartDate: "2026-01-12"}}})
}

func (*services) ExportConsents(_ *irtv1.ExportConsentsRequest, s grpc.ServerStreamingServer[irtv1.ExportConsentsResponse]) error {
	return s.Send(&irtv1.ExportConsentsResponse{Consents: []*irtv1.Consent{{Name: "agencies/a/consents/1", GivenBy: "CHILD"}}})
}

func (*services) ExportServices(_ *irtv1.ExportServicesRequest, s grpc.ServerStreamingServer[irtv1.ExportServicesResponse]) error {
	return s.Send(&irtv1.ExportServicesResponse{Services: []*irtv1.Service{{Name: "agencies/a/services/1", DisplayName: "A service"}}})
}

func (*services) ExportAccesses(_ *irtv1.ExportAccessesRequest, s grpc.ServerStreamingServer[irtv1.ExportAccessesResponse]) error {
	return s.Send(&irtv1.ExportAccessesResponse{Accesses: []*irtv1.Access{{Name: "accesses/1"}}})
}

func (*services) ExportQualityFindings(_ *irtv1.ExportQualityFindingsRequest, s grpc.ServerStreamingServer[irtv1.ExportQualityFindingsResponse]) error {
	return s.Send(&irtv1.ExportQualityFindingsResponse{Findings: []*irtv1.QualityFinding{{Child: "children/1"}}})
}

func (*services) DownloadImportRejects(_ *irtv1.DownloadImportRejectsRequest, s grpc.ServerStreamingServer[irtv1.DownloadImportRejectsResponse]) error {
	return s.Send(&irtv1.DownloadImportRejectsResponse{Chunk: []byte("row,column\n")})
}

func (*services) GetImportTemplate(_ context.Context, r *irtv1.GetImportTemplateRequest) (*irtv1.ImportTemplate, error) {
	return &irtv1.ImportTemplate{Name: r.GetName(), Content: "name,givenName\n"}, nil
}

func (*services) ExportUnusualAccess(context.Context, *irtv1.ListUnusualAccessRequest) (*httpbody.HttpBody, error) {
	return &httpbody.HttpBody{ContentType: "text/csv; charset=utf-8", Data: []byte("who\n")}, nil
}

func (*services) SubmitChildRecords(s irtv1.ChildService_SubmitChildRecordsServer) error {
	return answerEach(s, func(r *irtv1.SubmitChildRecordsRequest) *irtv1.SubmitChildRecordsResponse {
		return &irtv1.SubmitChildRecordsResponse{RequestId: r.GetRequestId()}
	})
}

func (*services) SubmitInvolvements(s grpc.BidiStreamingServer[irtv1.SubmitInvolvementsRequest, irtv1.SubmitInvolvementsResponse]) error {
	return answerEach(s, func(r *irtv1.SubmitInvolvementsRequest) *irtv1.SubmitInvolvementsResponse {
		return &irtv1.SubmitInvolvementsResponse{RequestId: r.GetRequestId()}
	})
}

func (*services) SubmitConcerns(s grpc.BidiStreamingServer[irtv1.SubmitConcernsRequest, irtv1.SubmitConcernsResponse]) error {
	return answerEach(s, func(r *irtv1.SubmitConcernsRequest) *irtv1.SubmitConcernsResponse {
		return &irtv1.SubmitConcernsResponse{RequestId: r.GetRequestId()}
	})
}

func (*services) SubmitReferrals(s grpc.BidiStreamingServer[irtv1.SubmitReferralsRequest, irtv1.SubmitReferralsResponse]) error {
	return answerEach(s, func(r *irtv1.SubmitReferralsRequest) *irtv1.SubmitReferralsResponse {
		return &irtv1.SubmitReferralsResponse{RequestId: r.GetRequestId()}
	})
}

func (*services) SubmitPlans(s grpc.BidiStreamingServer[irtv1.SubmitPlansRequest, irtv1.SubmitPlansResponse]) error {
	return answerEach(s, func(r *irtv1.SubmitPlansRequest) *irtv1.SubmitPlansResponse {
		return &irtv1.SubmitPlansResponse{RequestId: r.GetRequestId()}
	})
}

func (*services) SubmitConsents(s grpc.BidiStreamingServer[irtv1.SubmitConsentsRequest, irtv1.SubmitConsentsResponse]) error {
	return answerEach(s, func(r *irtv1.SubmitConsentsRequest) *irtv1.SubmitConsentsResponse {
		return &irtv1.SubmitConsentsResponse{RequestId: r.GetRequestId()}
	})
}

func (*services) SubmitServices(s grpc.BidiStreamingServer[irtv1.SubmitServicesRequest, irtv1.SubmitServicesResponse]) error {
	return answerEach(s, func(r *irtv1.SubmitServicesRequest) *irtv1.SubmitServicesResponse {
		return &irtv1.SubmitServicesResponse{RequestId: r.GetRequestId()}
	})
}

// answerEach answers each request.
func answerEach[Req, Resp any](s grpc.BidiStreamingServer[Req, Resp], answer func(*Req) *Resp) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(answer(r)); err != nil {
			return err
		}
	}
}

// The forms that the OpenAPI document says bodies and answers have are those that the
// hub takes and gives, whatever is not one JSON object among them.
func TestFormsAreAsDocumented(t *testing.T) {
	t.Parallel()
	h := start(t, &services{createImport: countingImport, watch: func(_ *irtv1.WatchRequest, s grpc.ServerStreamingServer[irtv1.WatchResponse]) error {
		return s.Send(&irtv1.WatchResponse{Cursor: "c"})
	}})
	doc, err := reference.New("test")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	variable := regexp.MustCompile(`\{[^}]*\}`)
	for path, verbs := range doc.Paths {
		path = variable.ReplaceAllString(path, "x")
		for _, op := range verbs {
			answers := op.Responses["200"].Content
			if len(answers) == 1 && answers["application/json"].Schema != nil && op.OperationID != "CreateImport" {
				continue // what every other method has
			}
			if op.Body == nil {
				for form := range answers {
					got := h.do(t, op.Verb, path, "", "Accept", form)
					mediaType, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
					if got.status != http.StatusOK || mediaType != form {
						t.Errorf("%s: %d %s, not %s: %.100s", op.OperationID, got.status, mediaType, form, got.body)
					}
					if form == reference.LinesType && !json.Valid([]byte(strings.TrimSpace(got.body))) {
						t.Errorf("%s: not a line of JSON: %s", op.OperationID, got.body)
					}
					seen[form]++
				}
				continue
			}
			for form, media := range op.Body.Content {
				sent, contentType := string(media.Example), form
				if op.OperationID == "CreateImport" {
					path, sent = strings.TrimSuffix(path, "?format=school-cohort")+"?format=school-cohort", "a,b\n1,2\n"
				}
				if form == "multipart/form-data" {
					body, boundary := formOf(t, sent)
					sent, contentType = body, boundary
				}
				got := h.do(t, op.Verb, path, sent, "Content-Type", contentType)
				mediaType, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
				if got.status != http.StatusOK || answers[mediaType].Schema == nil {
					t.Errorf("%s of %s: %d %s: %.200s", op.OperationID, form, got.status, mediaType, got.body)
				}
				seen[form]++
			}
			if got := h.do(t, op.Verb, path, "x", "Content-Type", "text/plain"); got.status != http.StatusUnsupportedMediaType {
				t.Errorf("%s of text/plain: %d", op.OperationID, got.status)
			}
		}
	}
	for form, least := range map[string]int{
		reference.LinesType: 9, reference.ServerSentType: 1, reference.TableType: 6, "multipart/form-data": 1, "application/xml": 1, "application/json": 1,
	} {
		if seen[form] < least {
			t.Errorf("%s was tried %d times", form, seen[form])
		}
	}
}

// formOf is form as text.
func formOf(t *testing.T, content string) (body, contentType string) {
	t.Helper()
	b, contentType := form(t, content)
	return b.String(), contentType
}
