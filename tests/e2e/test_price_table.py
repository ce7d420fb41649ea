"""The part of the price table that is kept, beside the whole table."""

import subprocess
import sys


def test_removing_the_providers_that_blaxel_has_not_changes_no_price() -> None:
    """Each model of the whole table, asked for by each provider, has the same price or none in both."""
    removed_first = (
        "from genai_prices import calc_price, data, types\n"
        "models = {model.id for provider in data.providers for model in provider.models}\n"
        "from blaxel_mcp.budget import prices\n"
        "providers = sorted({prices._BEDROCK_PROVIDER, *prices._PROVIDERS.values()})\n"
        "def all_prices():\n"
        "    for provider in providers:\n"
        "        for model in models:\n"
        "            usage = types.Usage(input_tokens=300_000, output_tokens=7_000, cache_read_tokens=11_000)\n"
        "            try:\n"
        "                price = calc_price(usage, model, provider_id=provider)\n"
        "                yield price.total_price, price.model.id\n"
        "            except (LookupError, ValueError) as error:\n"
        "                yield type(error), str(error)\n"
        "whole = list(all_prices())\n"
        "count = len(data.providers)\n"
        "prices.table_price('openai', 'gpt-4o')\n"
        "from genai_prices import data_snapshot\n"
        "data_snapshot._bundled_snapshot.cache_clear()\n"
        "print(list(all_prices()) == whole, len(whole) > 20_000, len(data.providers) < count / 2)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", removed_first], capture_output=True, text=True, timeout=120, check=False
    )

    assert (finished.stdout, finished.stderr) == ("True True True\n", "")
