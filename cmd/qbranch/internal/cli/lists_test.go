package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// objects are those that --json prints.
func objects() []any {
	return []any{
		authObject{}, bundleFileObject{}, cacheObject{}, cardObject{Card: &app.Card{}}, checkObject{}, diffObject{Diff: &app.Diff{}},
		doctorObject{}, duObject{}, fitObject{FitReport: &app.FitReport{Branches: []app.FitRow{{}}}}, fsckObject{}, genObject{},
		getSummary("", app.Ref{}, &app.GetResult{}), gpuObject{GPUReport: &app.GPUReport{}}, importObject{},
		lsObject{Listing: &app.Listing{Branches: []app.BranchRow{{Fit: &app.FitRow{}}}}}, pathObject{}, pickObject{}, planJSON(app.Ref{}, "", app.Plan{}, false),
		proveObject{}, showObject{Shown: &app.Shown{Loaders: []app.Reading{{}}, Card: &app.Card{}}}, storeObject{}, sweepObject{}, verifyObject{},
	}
}

func TestListsAreNeverNull(t *testing.T) {
	for _, v := range objects() {
		var got any
		if err := json.Unmarshal([]byte(marshal(t, v)), &got); err != nil {
			t.Fatal(err)
		}
		checkLists(t, reflect.TypeOf(v).Name(), reflect.TypeOf(v), got)
	}
}

// checkLists compares a type with what came of it.
func checkLists(t *testing.T, at string, typ reflect.Type, got any) {
	switch typ.Kind() {
	case reflect.Pointer:
		if got != nil {
			checkLists(t, at, typ.Elem(), got)
		}
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 || ownJSON(typ) {
			return
		}
		list, ok := got.([]any)
		if !ok {
			t.Errorf("%s: got %v, want a list", at, got)
		}
		for _, v := range list {
			checkLists(t, at, typ.Elem(), v)
		}
	case reflect.Struct:
		object, ok := got.(map[string]any)
		if !ok {
			return // it writes itself
		}
		for name, f := range jsonFields(typ) {
			if v, ok := object[name]; ok {
				checkLists(t, at+"."+name, f, v)
			}
		}
	}
}

// jsonFields are the fields of a struct by their names in JSON, those of embedded
// ones among them.
func jsonFields(typ reflect.Type) map[string]reflect.Type {
	all := make(map[string]reflect.Type)
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case name != "" && name != "-":
			all[name] = f.Type
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			for name, of := range jsonFields(inner) {
				all[name] = of
			}
		}
	}
	return all
}

// What is printed is a copy: the value itself keeps its nils.
func TestWithLists(t *testing.T) {
	type inner struct{ List []string }
	type outer struct {
		inner
		Any    any
		Map    map[string][]int
		Nested [][]int
		Time   time.Time
		Raw    json.RawMessage
		None   *inner
	}
	v := &outer{Any: inner{}, Map: map[string][]int{"a": nil}, Nested: [][]int{nil, {1}}, Time: time.Unix(0, 0).UTC()}
	want := `{"List":[],"Any":{"List":[]},"Map":{"a":[]},"Nested":[[],[1]],"Time":"1970-01-01T00:00:00Z","Raw":null,"None":null}`
	if got := marshal(t, v); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if v.List != nil || v.Any.(inner).List != nil || v.Map["a"] != nil || v.Nested[0] != nil {
		t.Errorf("the value itself was changed: %+v", v)
	}
}

// Every key of every object stands in docs/output.md, or on the page it names.
func TestKeysAreDocumented(t *testing.T) {
	var docs []byte
	for _, name := range []string{"output.md", "findings.md", "bundle-format.md", "gpu.md"} {
		page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, page...)
	}
	seen := make(map[reflect.Type]bool)
	var missing []string
	var walk func(at string, typ reflect.Type)
	walk = func(at string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(at, typ.Elem())
		case reflect.Struct:
			if seen[typ] || ownJSON(typ) {
				return
			}
			seen[typ] = true
			for name, f := range jsonFields(typ) {
				if !regexp.MustCompile("[\"`]" + regexp.QuoteMeta(name) + "[\"`]").Match(docs) {
					missing = append(missing, at+"."+name)
				}
				walk(at+"."+name, f)
			}
		}
	}
	for _, v := range objects() {
		walk(reflect.TypeOf(v).Name(), reflect.TypeOf(v))
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("no page of docs has %s", strings.Join(missing, ", "))
	}
}
