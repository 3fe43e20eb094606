package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

// pagePolicy lets the reference page load its own style and script, and nothing
// from anywhere else.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// makePages makes everything that is served outside /v1. The reference is written
// when it is first asked for: a hub need not wait for it to start.
func (g *Gateway) makePages() map[string]http.Handler {
	files := sync.OnceValues(func() (map[string]file, error) { return referenceFiles(g.options.Version) })
	pages := map[string]http.Handler{
		"/":        http.HandlerFunc(g.landing),
		"/healthz": http.HandlerFunc(healthz),
		"/readyz":  http.HandlerFunc(g.readyz),
		"/docs/":   http.RedirectHandler("/docs", http.StatusMovedPermanently),
	}
	for _, path := range []string{"/openapi.json", "/docs", reference.StylePath, reference.ScriptPath} {
		pages[path] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			all, err := files()
			if err != nil {
				g.writeError(w, r, err)
				return
			}
			all[path].serve(w, r)
		})
	}
	return pages
}

// referenceFiles are the OpenAPI document and the page, by address.
func referenceFiles(version string) (map[string]file, error) {
	doc, err := reference.New(version)
	if err != nil {
		return nil, err
	}
	openAPI, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("gateway: writing the OpenAPI document: %w", err)
	}
	page, assets, err := doc.Page()
	if err != nil {
		return nil, err
	}
	files := map[string]file{
		"/openapi.json": newFile("application/json", openAPI),
		"/docs":         newFile("text/html; charset=utf-8", page),
	}
	for _, a := range assets {
		files[a.Path] = newFile(a.Type, a.Content)
	}
	return files, nil
}

// landing sends people to the reference, and tells programs what this is.
func (g *Gateway) landing(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/docs", http.StatusSeeOther)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"service": "irthub", "version": g.options.Version,
		"docs": "/docs", "openapi": "/openapi.json", "standard": "/v1/standard", "ready": "/readyz",
	})
}

// healthz answers as long as the process lives.
func healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz answers whether the hub can do its work now.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	if err := g.options.Ready(r.Context()); err != nil {
		g.writeError(w, r, rpc.Unavailable(err, "The hub cannot reach its database or its access log just now."))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = newJSONEncoder(w).Encode(v) // the caller has gone: nobody is left to tell
}

// file is content that does not change while the hub runs.
type file struct {
	contentType   string
	plain, zipped []byte
}

func newFile(contentType string, content []byte) file {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content) // into memory: it does not fail
	_ = z.Close()
	return file{contentType, content, b.Bytes()}
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	content := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		content = f.zipped
	}
	_, _ = w.Write(content)
}
