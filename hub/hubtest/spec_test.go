package hubtest

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseFault(t *testing.T) {
	tests := []struct {
		line string
		want Fault
	}{
		{"reset-after=32MiB,times=3", Fault{ResetAfter: 32 << 20, Times: 3}},
		{"origin=cdn, path=.safetensors, ranged, one-conn, flip-at=7", Fault{Origin: "cdn", PathContains: ".safetensors", RangedOnly: true, OneConn: true, FlipAt: 7}},
		{"delay=40ms,rate=1B,ramp=2s", Fault{Delay: 40 * time.Millisecond, Rate: 1, Ramp: 2 * time.Second}},
		{"status=503,retry-after=7,body=busy", Fault{Status: 503, Header: map[string][]string{"Retry-After": {"7"}}, Body: "busy"}},
		{"reset-first,name=x", Fault{Name: "x", ResetAfter: -1}},
		{"without=Content-Length", Fault{Without: []string{"Content-Length"}}},
	}
	for _, tt := range tests {
		if tt.want.Name == "" {
			tt.want.Name = tt.line
		}
		if got, err := ParseFault(tt.line); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v", tt.line, got, err)
		}
	}
	for _, line := range []string{"", "reset", "times", "times=x", "ranged=1", "times=1,times=2", "rate=-1", "delay=1", "etag=strong", ",", "times=-1", "status=99"} {
		if f, err := ParseFault(line); err == nil {
			t.Errorf("%q: got %+v", line, f)
		}
	}
	for _, k := range faultKeys {
		if !strings.Contains(FaultKeys(), k.usage()) {
			t.Errorf("%s is not described", k.name)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "1B": 1, "20MB": 20e6, "1.5GiB": 3 << 29, "2GiB": 2 << 30, "1kB": 1000} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%s: got %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", "-1", "MiB", "NaN", "Inf", "1e30", "9223372036854775808", "1 MB"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q: got %d", s, got)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, k := range faultKeys {
		f.Add(k.usage())
	}
	f.Fuzz(func(t *testing.T, line string) {
		fault, err := ParseFault(line)
		if err == nil && (fault.Rate < 0 || fault.ResetAfter < -1 || fault.FlipAt < 0 || fault.Times < 0 || fault.Status < 0 || fault.Name == "") {
			t.Errorf("%q: got %+v", line, fault)
		}
	})
}
