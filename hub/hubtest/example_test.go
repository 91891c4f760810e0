package hubtest_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// A hub with one repository, whose storage cuts the first answer
// three bytes short.
func Example() {
	s, err := hubtest.Start(hubtest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = s.Add(hubtest.RepoData{ID: "acme/tiny", Branches: map[string]map[string][]byte{
		"main": {"model.safetensors": []byte("weights")},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	s.AddFault(hubtest.Fault{Origin: "cdn", Truncate: 3, Times: 1})
	for range 2 {
		resp, err := http.Get(s.URL() + "/acme/tiny/resolve/main/model.safetensors")
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s, %v\n", body, err)
	}
	for _, e := range s.Log() {
		fmt.Printf("%s %d %q\n", e.Origin, e.Status, e.Fault)
	}
	// Output:
	// weig, unexpected EOF
	// weights, <nil>
	// api 302 ""
	// cdn 200 "fault"
	// api 302 ""
	// cdn 200 ""
}
