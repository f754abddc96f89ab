"""Services under the short name `updates.service`: `start(unit)`, `restart(unit)`, `status(unit)` and so on.

The same functions as in `updates.utils.service`.
"""

from updates.utils.service import disable_service as disable
from updates.utils.service import enable_service as enable
from updates.utils.service import get_service_status as status
from updates.utils.service import is_service_active as is_active
from updates.utils.service import is_service_enabled as is_enabled
from updates.utils.service import reload_service as reload
from updates.utils.service import restart_service as restart
from updates.utils.service import start_service as start
from updates.utils.service import stop_service as stop

__all__ = ["disable", "enable", "is_active", "is_enabled", "reload", "restart", "start", "status", "stop"]
