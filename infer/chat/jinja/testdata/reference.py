"""Writes reference.json: what Jinja2 makes of templates, with the settings and
additions of transformers' apply_chat_template.

    pip install jinja2==3.1.6 && python reference.py > reference.json
"""
import datetime
import json
import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %} renders its body, as transformers' AssistantTracker does."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols, jinja2.ext.do])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = datetime.datetime(2024, 7, 4, 9, 5, 3).strftime  # the test's clock

CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "  Hello, \"world\" & <b>'s  \n"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHi!"},
        {"role": "user", "content": "山羊?"},
    ],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, "tools": None,
}
TOOLS = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Rome & <Oslo>?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Rome", "days": 2, "metric": True}}}]},
        {"role": "tool", "name": "weather", "tool_call_id": "call_001", "content": "{\"sky\": \"blue\"}"},
        {"role": "assistant", "content": " Blue. "},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "Oslo?"}]},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "It's the \"weather\" \u2014 <b>", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1.5, "enum": [1, 2]}}, "required": ["city"]}}}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, "enable_thinking": False, "documents": [],
}
DATA = {
    "n": 7, "f": 2.5, "s": "Hello World", "t": True, "nothing": None, "words": ["b", "A", "c", "a"],
    "nums": [3, 1, 2], "d": {"b": 1, "a": [1, 2.0, None, "x'y"]}, "empty": [],
    "people": [{"name": "Ann", "age": 3, "tag": {"x": 1}}, {"name": "bob", "age": 1, "tag": {"x": 2}}, {"name": "Cy"}],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}],
}

CHATS = [
    # ChatML, as the reference repository has it
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    # instructions in brackets, system text folded into the first turn
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message is defined %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    # roles must alternate from the user on: refuses the system message
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% endfor %}",
    # headers with a blank line, trimmed content, white space control
    """{%- set ns = namespace(first=true, sys='') -%}
{%- for m in messages %}
    {%- if m.role == 'system' %}
        {%- set ns.sys = m.content | trim %}
    {%- endif %}
{%- endfor -%}
{{- bos_token }}
{%- if ns.sys %}
    {{- '<|header|>system<|/header|>\n\n' + ns.sys + '<|eot|>' }}
{%- endif %}
{%- for m in messages if m.role != 'system' %}
    {{- '<|header|>' ~ m['role'] ~ '<|/header|>\n\n' + m['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|header|>assistant<|/header|>\n\n' }}
{%- endif %}
""",
    # reasoning is cut out of earlier turns, tools as JSON
    """{%- if tools %}
{{- tools | tojson }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- generation %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
        {%- endgeneration %}
    {%- endif %}
{%- endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt else '' }}
""",
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "{% macro turn(role, text='', sep='\n') %}### {{ role|title }}:{{ sep }}{{ text }}{{ caller() if caller is defined }}{% endmacro %}{% for m in messages %}{{ turn(m.role, m.content|trim) }}\n\n{% endfor %}{% call turn('end', sep=' ') %}!{% endcall %}",
]

# The ways of speaking of the common families, each with what its templates use of the language.
FAMILIES = [
    # headers, tools as indented JSON in the first user turn, a date, tool results as an "ipython" turn
    r"""{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none and not tools_in_user_message %}{{- "Tools: " }}{% endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if tools_in_user_message and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("no first user message") }}
    {%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\n\n' -}}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
        {%- if message.content is string %}
            {{- message['content'] | trim }}
        {%- else %}
            {%- for part in message.content %}{{- part['text'] }}{%- endfor %}
        {%- endif %}
        {{- '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one tool call at a time") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
""",
    # brackets, alternation counted by namespaces, calls with ids of nine characters
    r"""{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + (message["content"] if message["content"] is string else message["content"] | map(attribute="text") | join) + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length < 8 %}
                {{- raise_exception("ids of 8 characters or more") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("unknown role " ~ message.role) }}
    {%- endif %}
{%- endfor %}
""",
    # "model" for the assistant, the system message before the first user turn, parts of content
    r"""{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages if message.role in ('user', 'assistant') and not message.tool_calls -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
""",
    # the turn's end and a line break after every role, in one long line
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' ~ message['content'] ~ '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' ~ message['content'] ~ '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    # thinking cut off, tool outputs gathered by a namespace of flags
    r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' ~ message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<|Assistant|><|calls|><|call|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\n' + '```json' + '\n' + tool['function']['arguments']|tojson + '\n' + '```' + '<|call_end|>'}}{%- set ns.is_first = true -%}{%- else %}{{'\n' + '<|call|>' + tool['type']}}{%- endif %}{%- endfor %}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{%- if ns.is_tool %}{{'<|outputs_end|>' + message['content'] + '<|eos|>'}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + '<|eos|>'}}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<|outputs|><|output|>' + message['content'] + '<|output_end|>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\n<|output|>' + message['content'] + '<|output_end|>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<|outputs_end|>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|>'}}{% endif %}""",
    # tools in the system turn, calls in tags, results of several tools in one user turn, thinking switched off
    r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] + '\n\n' }}
    {%- endif %}
    {{- "# Tools\n\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n<|im_end|>\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- message.content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
""",
    # a preface and words for roles
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() + ' ' %}{% else %}{% set loop_messages = messages %}{% set system_message = 'A chat. ' %}{% endif %}{{ bos_token + system_message }}{% for message in loop_messages %}{% if message['role'] == 'user' %}{{ 'USER: ' ~ message['content'] ~ ' ' }}{% elif message['role'] == 'assistant' and message['content'] %}{{ 'ASSISTANT: ' + message['content'].strip() + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}",
    "{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{% if message['role'] == 'system' %}{{ 'System: ' }}{% elif message['role'] == 'user' %}{{ 'User: ' }}{% else %}{{ 'Falcon: ' }}{% endif %}{{ message['content'] | string }}{% endfor %}{% if add_generation_prompt %}{{ '\n' + 'Falcon:' }}{% endif %}",
    "{% for message in messages %}{% if (message['role'] in ['user', 'assistant', 'system']) and message['content'] is string %}{{ '<|' + message['role'] + '|>\n' + message['content'].lstrip() + '<|endoftext|>' + '\n' }}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}",
    # macros for types of parameters, as models that call functions have them
    r"""{%- macro render_type(p, depth=0) -%}
    {%- if p.type == 'object' -%}
        {%- set open = '{' -%}
        {{- open -}}
        {%- for name, sub in p.properties | dictsort -%}
            {{- '\n' -}}{{- ' ' * (depth * 2 + 2) -}}{{- name -}}{{- '' if name in (p.required or []) else '?' -}}{{- ': ' -}}{{- render_type(sub, depth + 1) -}}
            {%- if sub.default is defined %} // default: {{ sub.default }}{% endif -%}
        {%- endfor -%}
        {{- '\n' -}}{{- ' ' * (depth * 2) -}}{{- '}' -}}
    {%- elif p.enum -%}
        {{- p.enum | map('string') | join(' | ') -}}
    {%- else -%}
        {{- p.type | default('any') | upper -}}
    {%- endif -%}
{%- endmacro -%}
{%- for tool in tools or [] -%}
// {{ tool.function.description }}
type {{ tool.function.name }} = (_: {{ render_type(tool.function.parameters) }}) => any;
{% endfor -%}
{%- set last = messages | selectattr('role', 'eq', 'user') | map(attribute='content') | list | last -%}
{{ last if last is string else last | map(attribute='text') | join('') }}
{%- generation %} {{ messages[-2].content | trim }}{% endgeneration %}
""",
]

SNIPPETS = [
    # numbers, operators, precedence
    "{{ 1 + 2 * 3 ** 2 - -4 // 3 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ -7 // 2 }} {{ 7 / 2 }} {{ 2 ** -1 }} {{ 1e3 }} {{ 1_000 }} {{ -2 ** 2 }}",
    "{{ 1.0 }} {{ 1e16 }} {{ 0.00001 }} {{ 1.5 % 1 }} {{ 3 // 0.5 }} {{ 1 == 1.0 }} {{ true + 1 }} {{ 123456789.125 }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ 1 in nums }} {{ 9 not in nums }} {{ 'ell' in s }} {{ 'a' in d }}",
    "{{ not t }} {{ t and nothing }} {{ nothing or 'x' }} {{ not not n }} {{ t is true }} {{ n if n > 3 else 0 }} {{ 'y' if false }}|{{ ('p' if t else 'q') ~ 1 }}",
    "{{ 'a' ~ 1 ~ none ~ true ~ [1, 'b'] ~ {'k': 1.0} }} {{ 'ab' * 3 }} {{ 3 * 'x' }} {{ 'a' 'b' }} {{ [1] + [2] }}",
    "{{ (1, 2) | length }} {{ [] }} {{ {} }} {{ [none, true, 'it\\'s', \"q\\\"\"] }} {{ {'a': {'b': [1]}} }} {{ 'tab\\t\\u00e9\\x41' }}",
    # access
    "{{ d.b }} {{ d['a'][3] }} {{ d.a[-1] }} {{ d.nope }}|{{ d['nope'] }}|{{ nope }}|{{ s[0] }}{{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[:-3:2] }} {{ nums[1:] }} {{ nums[::-1] }} {{ nums[5] }}|{{ people.0.name }}",
    "{{ nope.deeper }}", "{{ nope + 1 }}", "{{ nope() }}", "{{ 'a' + 1 }}", "{{ 1 / 0 }}", "{{ none.x }}|", "{{ nums.nope }}|", "{{ -s }}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{{ d.keys() | list }} {{ d.values() | list }} {{ d.get('b') }} {{ d.get('z') }} {{ d.get('z', 5) }}",
    # strings
    "{{ '  x '.strip() }}|{{ '  x '.lstrip() }}|{{ '  x '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c'.rsplit(' ', 1) }} {{ 'a\nb\n'.splitlines() }}",
    "{{ s.upper() }} {{ s.lower() }} {{ 'hello wORLD'.title() }} {{ 'hELLO x'.capitalize() }} {{ s.replace('o', '0') }} {{ s.replace('l', 'L', 1) }} {{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('z') }} {{ s.count('l') }} {{ ', '.join(['a', 'b']) }}",
    "{{ s.startswith('He') }} {{ s.startswith(('x', 'H')) }} {{ s.endswith('d') }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'AB1'.isupper() }} {{ 'Ab'.islower() }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'aBc'.swapcase() }}",
    "{{ 'é山羊'[1] }} {{ 'é山羊'.find('羊') }} {{ 'é山羊' | length }} {% for c in 'é山' %}<{{ c }}>{% endfor %}",
    # filters
    "{{ nope | default('x') }} {{ '' | default('x', true) }} {{ none | default('x') }} {{ nope | d }}| {{ '  a ' | trim }}| {{ s | length }} {{ nums | sum }} {{ nums | max }} {{ words | min }} {{ nums | first }} {{ nums | last }} {{ empty | first }}|",
    "{{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ nums | sort(reverse=true) }} {{ nums | reverse | list }} {{ 'abc' | reverse }} {{ words | unique | list }} {{ people[:2] | sort(attribute='age') | map(attribute='name') | join(',') }}",
    "{{ people | map(attribute='age') | list }} {{ people | map(attribute='age', default=0) | list }} {{ words | map('upper') | join('-') }} {{ people | selectattr('age') | list | length }} {{ people | rejectattr('age', 'defined') | map(attribute='name') | list }} {{ people[:2] | selectattr('tag.x', 'eq', 2) | map(attribute='name') | list }} {{ nums | select('gt', 1) | list }} {{ nums | reject('odd') | list }} {{ [0, 1, ''] | select | list }}",
    "{{ d | dictsort }} {{ d | items | list }} {{ '3' | int + 1 }} {{ 'x' | int(9) }} {{ 2.7 | int }} {{ '2.5' | float }} {{ -3 | abs }} {{ 2.5 | round }} {{ 2.567 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ n | string + '!' }}",
    "{{ 'hello big-world (now)' | title }} {{ 'HELLO you' | capitalize }} {{ 'a\nb\n\nc' | indent }} {{ 'a\nb' | indent(2, true) }} {{ s | replace('o', '') }} {{ nums | join(', ') }} {{ [1, 2, 3] | batch(2) | list }} {{ s | list | length }}",
    "{{ d | tojson }} {{ 'a<b>&\\'\"\n\u00e9\u0001' | tojson }} {{ [1, 2.0, none, true] | tojson }} {{ {} | tojson }} {{ [] | tojson(indent=2) }}\n{{ d | tojson(indent=4) }} {{ d | tojson(sort_keys=true) }} {{ nums | tojson(separators=(',', ':')) }}",
    "{% filter upper %}a{{ s }}{% endfilter %} {% set x %}in {{ n }}{% endset %}[{{ x }}] {% set y | upper %}abc{% endset %}{{ y }} {% set a, b = 1, 2 %}{{ a }}{{ b }} {% with q = 5, r = n %}{{ q + r }}{% endwith %}{{ q }}",
    # tests
    "{{ n is defined }} {{ nope is defined }} {{ nope is undefined }} {{ nothing is none }} {{ s is string }} {{ n is number }} {{ n is integer }} {{ f is float }} {{ t is boolean }} {{ t is integer }} {{ d is mapping }} {{ nums is sequence }} {{ nums is iterable }} {{ s is iterable }} {{ n is iterable }} {{ nope is none }} {{ n is not none }}",
    "{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 2 is gt 1 }} {{ 2 is le 1 }} {{ 1 is in nums }} {{ 'AB' is upper }} {{ 'ab' is lower }} {{ range is callable }} {{ true is sameas true }}",
    "{{ nope is mapping }} {{ nope is sequence }} {{ (n is defined and s is string) }} {{ n is not string and true }}",
    # loops
    "{% for x in nums %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}",
    "{% for x in empty %}x{% else %}none{% endfor %} {% for x in nope %}x{% else %}nope{% endfor %} {% for i in range(5) if i % 2 %}{{ i }}{{ loop.index }}{% endfor %} {% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }} {% if true %}{% set x = 9 %}{% endif %}{{ x }} {% set ns = namespace(a=1) %}{% for i in nums %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}",
    "{% for node in tree recursive %}{{ node.v }}({{ loop.depth }}){% if node.kids %}[{{ loop(node.kids) }}]{% endif %}{% endfor %} {% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %} {{ range(3) | list }} {{ range(5, 1, -2) | list }}",
    "{% for x in n %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% set n.x = 1 %}",
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ n }}{% endmacro %}{{ m(1) }} {{ m(1, b=3) }} {{ m(b=4, a=0) }} {{ m() }}", "{% macro m() %}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% endmacro %}{{ m(z=1) }}",
    "{% set items = namespace(total=0) %}{% do nums %}{{ dict(a=1, b=2) }} {{ dict(a=1).a }}",
    # white space
    "  {% if true %}\n  a\n  {% endif %}\nb\n", "a {%- if true -%} b {%- endif %} c", "{% if true +%}\nx{% endif %}", "  {%+ if true %}x{% endif %}", "a\n  {# note #}\n  b {# c -#}  d", "x{#- y -#} z",
    "{{ 1 }}\n{{ 2 }}\n", "{{- ' a' -}}\n\n b", "{% raw %}{{ x }}{% endraw %} {%- raw -%} {% y %} {%- endraw %}|", "  \n  {% set x = 1 %}  \n  {{ x }}", "a{{ '}}' }}{{ {'k': {'j': 1}}['k']['j'] }}", "\r\nx\r\n{% if t %}\r\ny{% endif %}\r\n",
    "{% for i in nums %}\n    {{ i }}\n{% endfor %}\nend", "\t {% if t %}z{% endif %}\t \n", "text {% if t %}\n  same\n{% endif %}", "{%- for i in nums -%}\n  {{ i }}\n  {%- if not loop.last %}, {% endif -%}\n{%- endfor %}",
    # faults
    "{{ 'x' | nosuchfilter }}", "{{ 1 is nosuchtest }}", "{% nosuchtag %}", "{% if true %}", "{{ 1 + }}", "{{ (1 }}", "{{ 'x }}", "{{ 1", "{% endif %}", "{% for %}{% endfor %}", "{# open", "{% raw %}x", "{{ a b }}", "{% break %}", "{{ ] }}", "{{ }}", "{{ 'é'.nope() }}", "{{ raise_exception('no') }}", "{{ nums.append(4) }}", "{{ s.__class__ }}|",
]

VARS = {"chat": CHAT, "tools": TOOLS, "data": DATA}
rows = []
for name, templates in (("chat", CHATS + FAMILIES), ("tools", CHATS + FAMILIES), ("data", SNIPPETS)):
    vars_ = VARS[name]
    for src in templates:
        row = {"template": src, "vars": name}
        try:
            row["output"] = env.from_string(src).render(**vars_)
        except Exception as e:
            row["error"] = type(e).__name__
        rows.append(row)
print(json.dumps({"jinja2": jinja2.__version__, "vars": VARS, "rows": rows}, indent=1))
