package hub_test

import (
	"fmt"

	"github.com/qbranch/qbranch/hub"
)

func ExampleParseRef() {
	for _, s := range []string{
		"TheBloke/MythoMax-L2-13B-GPTQ",
		"TheBloke/MythoMax-L2-13B-GPTQ:gptq-8bit--1g-actorder_True",
		"https://huggingface.co/TheBloke/MythoMax-L2-13B-GPTQ/tree/gptq-4bit-32g-actorder_True",
	} {
		ref, err := hub.ParseRef(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(ref.Repo, ref.RevisionOrMain())
	}
	// Output:
	// TheBloke/MythoMax-L2-13B-GPTQ main
	// TheBloke/MythoMax-L2-13B-GPTQ gptq-8bit--1g-actorder_True
	// TheBloke/MythoMax-L2-13B-GPTQ gptq-4bit-32g-actorder_True
}
