package gateway_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"irthub/internal/gateway/reference"
)

func TestPages(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	t.Run("healthz", func(t *testing.T) {
		t.Parallel()
		if a := h.do(t, "GET", "/healthz", ""); a.status != 200 || a.body != `{"status":"ok"}`+"\n" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("readyz tells that, and not why", func(t *testing.T) {
		t.Parallel()
		a := h.do(t, "GET", "/readyz", "")
		if _, reason := a.failure(t); a.status != 503 || reason != "UNAVAILABLE" || strings.Contains(a.body, "secret") {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("landing", func(t *testing.T) {
		t.Parallel()
		if a := h.do(t, "GET", "/", "", "Accept", "text/html,*/*"); a.status != 303 || a.header.Get("Location") != "/docs" {
			t.Errorf("%d %v", a.status, a.header)
		}
		var links map[string]string
		if a := h.do(t, "GET", "/", ""); json.Unmarshal([]byte(a.body), &links) != nil || links["openapi"] != "/openapi.json" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("OpenAPI names every address, and no other", func(t *testing.T) {
		t.Parallel()
		a := h.do(t, "GET", "/openapi.json", "")
		var doc struct {
			OpenAPI string
			Paths   map[string]map[string]struct{ OperationID string }
		}
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil || doc.OpenAPI != "3.1.0" {
			t.Fatalf("%v: %.100s", err, a.body)
		}
		documented := map[string]bool{}
		for _, verbs := range doc.Paths {
			for verb, op := range verbs {
				documented[verb+" "+op.OperationID] = true
			}
		}
		routes := reference.Routes()
		for _, r := range routes {
			if key := strings.ToLower(r.Verb) + " " + string(r.Method.Name()); !documented[key] {
				t.Errorf("%s is not documented", key)
			}
		}
		if len(documented) != len(routes) {
			t.Errorf("%d operations documented of %d", len(documented), len(routes))
		}
	})
	t.Run("docs needs nothing from elsewhere", func(t *testing.T) {
		t.Parallel()
		a := h.do(t, "GET", "/docs", "")
		policy := a.header.Get("Content-Security-Policy")
		if a.status != 200 || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%d, policy %q", a.status, policy)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(a.body, -1) {
			if m[1] == "data:," || strings.HasPrefix(m[1], "/v1/") {
				continue
			}
			if linked := h.do(t, "GET", m[1], ""); linked.status != 200 {
				t.Errorf("%s: %d", m[1], linked.status)
			}
		}
		if regexp.MustCompile(`<(script|style)>| (style|on\w+)="`).MatchString(a.body) {
			t.Error("the page has what its own policy forbids")
		}
		for _, want := range []string{"SubmitChildRecord", "/v1/agencies/{agency}/childRecords/{localId}", "NHS_NUMBER_CHECK_DIGIT", "curl"} {
			if !strings.Contains(a.body, want) {
				t.Errorf("no %s on the page", want)
			}
		}
	})
}

// Every route of the schema is served, and reaches its own method.
func TestEveryRouteReachesItsMethod(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range reference.Routes() {
		t.Run(string(r.Method.Name()), func(t *testing.T) {
			t.Parallel()
			h := start(t, &services{createImport: countingImport})
			path := variable.ReplaceAllStringFunc(r.Pattern, func(v string) string {
				_, glob, _ := strings.Cut(strings.Trim(v, "{}"), "=")
				return strings.ReplaceAll(glob, "*", "x")
			})
			body, contentType := "", "application/json"
			switch {
			case strings.HasSuffix(path, "/imports") && r.Verb == http.MethodPost:
				path, contentType = path+"?format=school-cohort", "text/csv"
			case r.Verb != http.MethodGet:
				body = "{}"
			}
			h.do(t, r.Verb, path, body, "Content-Type", contentType)
			calls := h.reached()
			if want := reference.FullMethod(r.Method); len(calls) != 1 || calls[0].method != want {
				t.Errorf("%s %s reached %v, want %s", r.Verb, path, calls, want)
			}
		})
	}
}
