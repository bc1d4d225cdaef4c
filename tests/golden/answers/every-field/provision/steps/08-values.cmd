@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /ve /t REG_SZ /d "the default value" /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v text /t REG_SZ /d "a & b ^ %%PATH%% | <x> ä\\" /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v empty /t REG_SZ /d "" /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v number /t REG_DWORD /d 4294967295 /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v long /t REG_QWORD /d 1099511627776 /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v expand /t REG_EXPAND_SZ /d "%%SystemRoot%%\x" /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v list /t REG_MULTI_SZ /d "one\0two words\0C:\\" /f
@if errorlevel 1 exit /b 1
@reg.exe add "HKLM\SOFTWARE\Example 100%%\Sub" /v bytes /t REG_BINARY /d 00ffA0 /f
@if errorlevel 1 exit /b 1
