package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
)

// Headers of the API reach the hub as metadata; nothing else does, above all
// nothing that says who is calling or from where.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	sent := map[string]string{
		"Authorization": "Bearer t", "Irt-Purpose": "SAFEGUARDING", "Irt-Reason": "a reason", "Irt-On-Behalf-Of": "agencies/a/practitioners/p",
		"Idempotency-Key": "k", "If-Match": `"v1"`, "X-Request-Id": "0123456789abcdef",
		"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	headers := []string{
		"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Host", "evil", "Forwarded", "for=203.0.113.9", "X-Real-Ip", "203.0.113.9",
		"Grpc-Metadata-Authorization", "Bearer evil", "Grpc-Metadata-Irt-Purpose", "EMERGENCY", "Grpc-Timeout", "1n",
		"Cookie", "session=1", "Irt-Agency", "evil", "Irt-Purpose-Bin", "ZXZpbA==", "User-Agent", "test",
	}
	for name, value := range sent {
		headers = append(headers, name, value)
	}
	if a := h.do(t, "GET", "/v1/children/x", "", headers...); a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	c := h.reached()[0]
	want := metadata.New(sent)
	for key, values := range c.metadata {
		if !slices.Equal(values, want[key]) {
			t.Errorf("metadata %s is %q, want %q", key, values, want[key])
		}
	}
	if len(c.metadata) != len(want) {
		t.Errorf("metadata %v, want %v", c.metadata, want)
	}
	if !strings.HasPrefix(c.address, "127.0.0.1:") {
		t.Errorf("the peer is %s, want the socket's other end", c.address)
	}
}

func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, &services{getChild: func(ctx context.Context, r *irtv1.GetChildRequest) (*irtv1.Child, error) {
		err := grpc.SetHeader(ctx, metadata.Pairs("x-request-id", "id", "set-cookie", "a=b", "location", "//evil"))
		return &irtv1.Child{Name: r.GetName(), Etag: "\"v1\"\r\nX-Evil: 1"}, err
	}})
	a := h.do(t, "GET", "/v1/children/x", "", "TE", "trailers")
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "application/json", "X-Request-Id": "id",
		"Set-Cookie": "", "Location": "", "X-Evil": "", "Etag": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestEtags(t *testing.T) {
	t.Parallel()
	h := start(t, &services{submitRecord: func(_ context.Context, r *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		record := proto.CloneOf(r.GetChildRecord())
		record.Etag = `"r1"`
		return &irtv1.SubmitChildRecordResponse{ChildRecord: record}, nil
	}})
	for _, tt := range []struct {
		name, method, path, body, ifNoneMatch string
		status                                int
		etag                                  string
	}{
		{"of the answer", "GET", "/v1/children/x", "", "", 200, `"v1"`},
		{"of HEAD", "HEAD", "/v1/children/x", "", "", 200, `"v1"`},
		{"of the resource inside", "PUT", "/v1/agencies/a/childRecords/1", "{}", "", 200, `"r1"`},
		{"of a list", "GET", "/v1/children/x/involvements", "", "", 200, ""},
		{"known", "GET", "/v1/children/x", "", `"v1"`, 304, `"v1"`},
		{"known weakly", "GET", "/v1/children/x", "", `"v0", W/"v1"`, 304, `"v1"`},
		{"known to HEAD", "HEAD", "/v1/children/x", "", `"v1"`, 304, `"v1"`},
		{"any", "GET", "/v1/children/x", "", `*`, 304, `"v1"`},
		{"another known", "GET", "/v1/children/x", "", `"v0"`, 200, `"v1"`},
		{"not for writes", "PUT", "/v1/agencies/a/childRecords/1", "{}", `"r1"`, 200, `"r1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := h.do(t, tt.method, tt.path, tt.body, "If-None-Match", tt.ifNoneMatch)
			if a.status != tt.status || a.header.Get("Etag") != tt.etag {
				t.Errorf("%d, ETag %s; want %d, %s", a.status, a.header.Get("Etag"), tt.status, tt.etag)
			}
			if empty := a.status == 304 || tt.method == "HEAD"; empty != (a.body == "") {
				t.Errorf("the body is %q", a.body)
			}
		})
	}
}

// What callers rely on of JSON in and out.
func TestJSON(t *testing.T) {
	t.Parallel()
	h := start(t, &services{submitRecord: func(_ context.Context, r *irtv1.SubmitChildRecordRequest) (*irtv1.SubmitChildRecordResponse, error) {
		return &irtv1.SubmitChildRecordResponse{
			ChildRecord:  r.GetChildRecord(),
			ValidateOnly: r.GetValidateOnly(),
			Queries:      []*irtv1.Query{{RuleId: "R", Field: "carers[0].nhs_number"}},
		}, nil
	}})
	t.Run("path, query and body make one request", func(t *testing.T) {
		a := h.do(t, "PUT", "/v1/agencies/a/childRecords/x:1?validateOnly=true", `{"givenName":"Zoë","name":"agencies/b/childRecords/2"}`)
		record := h.reached()[0].request.(*irtv1.SubmitChildRecordRequest).GetChildRecord()
		if record.GetName() != "agencies/a/childRecords/x:1" || record.GetGivenName() != "Zoë" {
			t.Errorf("the hub got %v", record)
		}
		body := strings.ReplaceAll(a.body, `", "`, `","`)
		for _, want := range []string{`"givenName":"Zoë"`, `"validateOnly":true`, `"field":"carers[0].nhsNumber"`} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, a.body)
			}
		}
		if strings.Contains(body, "familyName") {
			t.Errorf("an empty field is in %s", a.body)
		}
	})
	t.Run("fields that are pinned are named as JSON names them", func(t *testing.T) {
		a := start(t, nil).do(t, "POST", "/v1/children/x:pinField", `{"field":"givenName","reason":"x"}`)
		if !strings.Contains(a.body, `"givenName"`) {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("PATCH changes the fields it names", func(t *testing.T) {
		h := start(t, nil)
		h.do(t, "PATCH", "/v1/agencies/a", `{"telephone":"1","odsCode":""}`)
		mask := h.reached()[0].request.(*irtv1.UpdateAgencyRequest).GetUpdateMask().GetPaths()
		slices.Sort(mask)
		if !slices.Equal(mask, []string{"ods_code", "telephone"}) {
			t.Errorf("the mask is %v", mask)
		}
	})
	t.Run("a body without a type is JSON", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/v1/children:search", strings.NewReader(`{"familyName":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// A caller who hangs up ends the call.
func TestHangUp(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	started := make(chan struct{})
	h := start(t, &services{getChild: func(ctx context.Context, _ *irtv1.GetChildRequest) (*irtv1.Child, error) {
		close(started)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/v1/children/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-started
		cancel()
	}()
	if resp, err := http.DefaultClient.Do(r); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer came")
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the call goes on")
	}
}
